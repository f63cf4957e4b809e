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
	tidy := time.NewTicker(tidyEvery)
	defer tidy.Stop()
	for {
		select {
		case <-r.closing.Done():
			return
		case <-tidy.C:
			r.mu.Lock()
			r.ledger.forget(time.Now().UnixMicro())
			r.mu.Unlock()
		case <-r.repair:
			r.pushAll()
		}
	}
}

func (r *Redis) pushAll() {
	r.mu.Lock()
	pages := make([]*own, 0, len(r.ledger.owns))
	for _, o := range r.ledger.owns {
		if o.tagged && o.count.Used > 0 {
			pages = append(pages, o)
		}
	}
	r.mu.Unlock()
	gap := time.NewTimer(0)
	defer gap.Stop()
	var a Answer
	for _, o := range pages {
		select {
		case <-r.closing.Done():
			return
		case <-gap.C:
		}
		r.mu.Lock()
		tag, check := o.tag, Check{Counter: o.count.Counter, Limit: Limit{N: 1, Unit: o.count.Unit}, Span: o.count.Span}
		r.mu.Unlock()
		err := r.answer(r.closing, &Query{Tag: tag, Cost: 1, Checks: []Check{check}}, &a, toRepair)
		if err != nil && !errors.Is(err, ErrPeriodOver) {
			// Its return starts all of it again.
			sleep(r.closing, pushRetry)
			r.suspect()
			return
		}
		gap.Reset(pushGap)
	}
	if len(pages) > 0 {
		r.log.Info("own counts of days and months are in redis again", "counters", len(pages))
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
