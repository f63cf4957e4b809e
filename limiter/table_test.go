package limiter

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// TestTable compares the table with a map over random insertions and removals, with hashes so
// alike that most ids collide.
func TestTable(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var table table
	hashes := map[string]uint64{}
	there := map[string]*subject{}
	for range 200_000 {
		id := fmt.Sprint(r.IntN(60))
		if _, ok := hashes[id]; !ok {
			hashes[id] = r.Uint64N(8) * 0x2000_0000_0000_0007
		}
		if got := table.find(hashes[id], id); got != there[id] {
			t.Fatalf("find %s: got %p, want %p", id, got, there[id])
		}
		if r.IntN(2) == 0 {
			s := table.ensure(hashes[id], id)
			if !s.is(id) || there[id] != nil && s != there[id] {
				t.Fatalf("ensure %s: got %p, want %p", id, s, there[id])
			}
			there[id] = s
		} else if table.places() > 0 {
			if i := r.Uint64N(table.places()); table.at(i) != nil {
				delete(there, nameOf(table.at(i)))
				table.remove(i)
			}
		}
		if table.held != len(there) {
			t.Fatalf("got %d held, want %d", table.held, len(there))
		}
	}
}

func nameOf(s *subject) string {
	if s.long != nil {
		return *s.long
	}
	return string(s.short[:s.length])
}

// TestSubject: a subject takes the cache lines that it is meant to, knows its id whatever its length,
// and keeps the right counters however many come and go.
func TestSubject(t *testing.T) {
	if size, line := unsafe.Sizeof(subject{}), unsafe.Sizeof(counter{}); size != 320 || line != 64 {
		t.Errorf("a subject takes %d bytes and a counter %d, want 320 and 64", size, line)
	}
	for n := range 100 {
		id := strings.Repeat("x", n)
		if s := newSubject(1, id); !s.is(id) || s.is(id+"x") || n > 0 && s.is(id[1:]) || nameOf(s) != id {
			t.Errorf("a subject with an id of %d bytes does not know it", n)
		}
	}
	r := rand.New(rand.NewPCG(1, 1))
	s, there := newSubject(1, "x"), map[int64]bool{}
	check := func(n int64) *Check {
		return &Check{Counter: Counter{Level: Route, Route: fmt.Sprint(n % 3)}, Limit: Limit{N: 1, Window: time.Duration(n) * time.Millisecond}}
	}
	for range 100_000 {
		n := 1 + r.Int64N(8)
		i := s.find(check(n))
		if (i >= 0) != there[n] || s.len() != len(there) {
			t.Fatalf("found counter %d at %d of %d, want %v of %d", n, i, s.len(), there[n], len(there))
		}
		if i >= 0 {
			if c := s.at(i); c.units != n || s.find(&Check{Limit: check(n).Limit}) >= 0 {
				t.Fatalf("at %d: got the counter %d, want %d on its route alone", i, c.units, n)
			}
			s.drop(i)
			delete(there, n)
			continue
		}
		s.add(counter{counterKey: check(n).key(), window: window{units: n}})
		there[n] = true
	}
}

// TestWindowStaysSmall: no history needs more than about two thousand entries.
func TestWindowStaysSmall(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var w window
	now, width, longest := int64(1_700_000_000_000_000), int64(1_000_000), 0
	for range 300_000 {
		now += r.Int64N(1500)
		n := []int64{1000, 1001, 5000, 1 << 30}[r.IntN(4)]
		if w.slide(now-width)+1 > n {
			continue
		}
		if w.full(now) {
			w.grow()
			longest = max(longest, len(w.ring))
		}
		w.add(now, 1, Limit{N: n, Window: time.Second}.grain())
	}
	if longest < 1024 || longest > 2048 {
		t.Errorf("got a ring of %d, want 1024 to 2048", longest)
	}
}

// TestSweep: decisions themselves drop what is idle, all of it, and give back what logs needed.
func TestSweep(t *testing.T) {
	now := time.UnixMicro(1_790_000_000_000_000)
	l := NewLocal(LocalOptions{Now: func() time.Time { return now }})
	day := NewCalendar(Day, nil)
	decide := func(subject string, limits ...Limit) {
		t.Helper()
		q := &Query{Cost: 1}
		for _, limit := range limits {
			c := Check{Counter: Counter{Subject: subject}, Limit: limit}
			if limit.Unit == Day {
				c.Span = day.At(now)
			}
			q.Checks = append(q.Checks, c)
		}
		var a Answer
		if err := l.Decide(context.Background(), q, &a); err != nil {
			t.Fatal(err)
		}
	}
	second, daily := Limit{N: 2, Window: time.Second}, Limit{N: 1000, Unit: Day}
	busy := Limit{N: 1000, Window: time.Hour}
	steady := make([]string, 50)
	for i := range steady {
		steady[i] = fmt.Sprint("steady ", i)
	}
	for i := range 1000 {
		decide(fmt.Sprint("other ", i), second, daily)
		decide("busy", busy)
		now = now.Add(time.Microsecond)
	}
	if c, e := l.counters.held.Load(), l.entries.held.Load(); c != 2001 || e != 1000*smallestRing+1024 {
		t.Fatalf("got %d counters and %d entries, want 2001 and %d", c, e, 1000*smallestRing+1024)
	}
	// settles lets few subjects go on until that is all that is held.
	settles := func(what string, counters, entries int64) {
		t.Helper()
		for i := range 2_000_000 {
			decide(steady[i%len(steady)], second)
			if l.counters.held.Load() == counters && l.entries.held.Load() == entries {
				return
			}
		}
		t.Errorf("%s: got %d counters and %d entries, want %d and %d", what, l.counters.held.Load(), l.entries.held.Load(), counters, entries)
	}
	n := int64(len(steady))
	for range 2 {
		for _, subject := range steady {
			decide(subject, second)
		}
		now = now.Add(20 * time.Second)
	}
	settles("windows over", 1000+1+n, n*smallestRing+1024)
	now = now.Add(time.Hour - 35*time.Second) // the busy log is over, but kept for its grace
	decide("busy", busy)
	now = now.Add(30 * time.Second)
	settles("log nearly empty", 1000+1+n, n*smallestRing+slack/4)
	now = now.Add(24 * time.Hour)
	settles("day over", n, n*smallestRing)
}
