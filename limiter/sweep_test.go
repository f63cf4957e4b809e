package limiter

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// TestSweepConcurrent has goroutines come and go with subjects while a full limiter makes room,
// then compares what is held with what is counted.
func TestSweepConcurrent(t *testing.T) {
	l := NewLocal(LocalOptions{MaxCounters: 300, MaxEntries: 2000})
	l.clock.micro -= 3_600_000_000
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			var a Answer
			for range 4_000 {
				q := &Query{Cost: 1}
				for i := range 1 + r.IntN(3) {
					c := Check{Counter: Counter{Level: Level(i), Subject: fmt.Sprint(r.IntN(400))}, Limit: Limit{N: 50, Window: time.Millisecond}}
					q.Checks = append(q.Checks, c)
				}
				_ = l.Decide(context.Background(), q, &a) // ErrFull is expected here
			}
		})
	}
	wg.Wait()
	var counters, entries int64
	for i := range l.shards {
		for place := range l.shards[i].subjects.places() {
			s := l.shards[i].subjects.at(place)
			if s == nil {
				continue
			}
			for c := range s.len() {
				counters++
				entries += int64(len(s.at(c).ring))
			}
		}
	}
	if c, e := l.counters.held.Load(), l.entries.held.Load(); c != counters || e != entries || c > 300 || e > 2000 {
		t.Errorf("got %d counters and %d entries by the gauges, %d and %d by looking", c, e, counters, entries)
	}
}
