package limiter

import (
	"errors"
	"time"
)

const (
	// pushGap keeps repairs below 1000 a second, so that they take a hundredth of Redis.
	pushGap = time.Millisecond
	// tidyEvery is how often pages of the ledger that are long over are looked for.
	tidyEvery = time.Minute
	// pushRetry is how long a repair that could not be made waits.
	pushRetry = time.Second
)

// Where nothing proves that counts were lost, some pages are pushed to see, and of those that have
// nothing to push not too many are passed over.
const (
	pushProbe = 16
	passOver  = 1000
	lookEvery = 2 * time.Second // at some pages, whether or not anybody asks for them
)

// suspect tells that Redis may have lost counts.
func (r *Redis) suspect() {
	select {
	case r.repair <- struct{}{}:
	default:
	}
}

// push brings this node's part of every day and month back to Redis after it may have lost them, also
// of those that nobody asks for here: other nodes count on it. Traffic repairs what it touches by itself.
func (r *Redis) push() {
	defer close(r.closed)
	tidy, look, retry := time.NewTicker(tidyEvery), time.NewTicker(lookEvery), time.NewTimer(pushRetry)
	defer tidy.Stop()
	defer look.Stop()
	defer retry.Stop()
	pushAll := func() {
		if !r.pushAll() {
			retry.Reset(pushRetry)
		}
	}
	var memory memoryWatch
	for {
		select {
		case <-r.closing.Done():
			return
		case <-tidy.C:
			r.tidy()
		case <-look.C:
			r.lookAtMemory(&memory)
			pushAll()
		case <-retry.C:
			pushAll()
		case <-r.repair:
			pushAll()
		}
	}
}

func (r *Redis) tidy() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ledger.forget(time.Now().UnixMicro())
}

// pushAll pushes every page, unless some of them show that Redis has lost nothing: there may be a million.
// It goes on where the last look ended. Pages of a part of the store that does not answer are left; false:
// there were some, and the next look begins with the first of them, and ends where this one would have.
func (r *Redis) pushAll() bool {
	r.mu.Lock()
	var lists [][]*own
	total := 0
	for _, p := range r.ledger.periods {
		lists = append(lists, p.list[:len(p.list):len(p.list)]) // pages are only ever added
		total += len(p.list)
	}
	r.mu.Unlock()
	before := r.seen
	gap := time.NewTimer(0)
	defer gap.Stop()
	var silent [storeParts]bool
	pushed, next, left := 0, r.cursor, 0
	pages := total
	if r.left > 0 {
		pages = min(r.left, total)
	}
	for i := range pages {
		done, err := r.pushPage(nth(lists, (r.cursor+i)%total), &silent, gap)
		if r.closing.Err() != nil {
			return true
		}
		if err != nil && left == 0 {
			next, left = (r.cursor+i)%total, pages-i
		}
		if done {
			pushed++
		}
		if (pushed >= pushProbe || i >= passOver) && r.repairs.Load() == before {
			if left == 0 {
				next = (r.cursor + i + 1) % total
			}
			break
		}
	}
	r.cursor, r.left = next, left
	if seen := r.repairs.Load(); seen > before && left == 0 {
		r.log.Info("own counts of days and months are in redis again", "counters", seen-before)
		r.seen = seen
	}
	return left == 0
}

// nth is the n-th page of some lists.
func nth(lists [][]*own, n int) *own {
	for _, list := range lists {
		if n < len(list) {
			return list[n]
		}
		n -= len(list)
	}
	return nil // there are fewer
}

// pushPage has a page's count in Redis when it returns true; false: there is nothing of it to bring, or its
// part of the store does not answer, which is the error and noted in silent: such a part is asked once.
func (r *Redis) pushPage(o *own, silent *[storeParts]bool, gap *time.Timer) (bool, error) {
	r.mu.Lock()
	tag, check := o.tag, Check{Counter: o.count.Counter, Limit: Limit{N: 1, Unit: o.count.Unit}, Span: o.count.Span}
	due := o.tagged && o.count.Used > 0
	r.mu.Unlock()
	if !due {
		return false, nil
	}
	part := r.Part(tag)
	if silent[part] {
		return false, ErrUnavailable
	}
	select {
	case <-r.closing.Done():
		return false, r.closing.Err()
	case <-gap.C:
	}
	var a Answer
	err := r.answer(r.closing, &Query{Tag: tag, Cost: 1, Checks: []Check{check}}, &a, toRepair)
	gap.Reset(pushGap)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, ErrPeriodOver):
		return false, nil
	}
	silent[part] = true
	return false, err
}
