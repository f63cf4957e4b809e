package limiter

import (
	"context"
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
	tidy, look := time.NewTicker(tidyEvery), time.NewTicker(lookEvery)
	defer tidy.Stop()
	defer look.Stop()
	var memory memoryWatch
	for {
		select {
		case <-r.closing.Done():
			return
		case <-tidy.C:
			r.tidy()
		case <-look.C:
			r.lookAtMemory(&memory)
			r.pushAll()
		case <-r.repair:
			r.pushAll()
		}
	}
}

func (r *Redis) tidy() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ledger.forget(time.Now().UnixMicro())
}

// pushAll pushes every page, unless some of them show that Redis has lost nothing: there may be a million.
// It goes on where the last look ended.
func (r *Redis) pushAll() {
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
	pushed := 0
	for i := range total {
		o := nth(lists, (r.cursor+i)%total)
		done, err := r.pushPage(o, gap)
		if err != nil {
			return
		}
		if done {
			pushed++
		}
		if (pushed >= pushProbe || i >= passOver) && r.repairs.Load() == before {
			r.cursor = (r.cursor + i + 1) % total
			return
		}
	}
	if r.seen = r.repairs.Load(); r.seen > before {
		r.log.Info("own counts of days and months are in redis again", "counters", r.seen-before)
	}
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

// pushPage has a page's count in Redis when it returns true; false: there is nothing of it to bring. It
// tries until it can, or r is closed, which is the error.
func (r *Redis) pushPage(o *own, gap *time.Timer) (bool, error) {
	r.mu.Lock()
	tag, check := o.tag, Check{Counter: o.count.Counter, Limit: Limit{N: 1, Unit: o.count.Unit}, Span: o.count.Span}
	due := o.tagged && o.count.Used > 0
	r.mu.Unlock()
	if !due {
		return false, nil
	}
	var a Answer
	for {
		select {
		case <-r.closing.Done():
			return false, r.closing.Err()
		case <-gap.C:
		}
		err := r.answer(r.closing, &Query{Tag: tag, Cost: 1, Checks: []Check{check}}, &a, toRepair)
		gap.Reset(pushGap)
		if err == nil {
			return true, nil
		}
		if errors.Is(err, ErrPeriodOver) {
			return false, nil
		}
		r.tidy()
		sleep(r.closing, pushRetry)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
