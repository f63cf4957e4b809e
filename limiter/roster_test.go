package limiter_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"postern/limiter"
)

// list is the list of gateways as Roster wants it kept, in memory and on a clock moved by hand.
type list struct {
	now   time.Time
	lines map[string]line
}

type line struct {
	at   time.Time
	sees []string
	lost bool
}

func (l *list) clock() time.Time { return l.now }

// beat writes a gateway's line and reads all of them.
func (l *list) beat(self string, reckoned []string) []limiter.Peer {
	alive := func(id string) bool {
		return id == self || l.now.Sub(l.lines[id].at) < limiter.Lease
	}
	own := line{at: l.now, sees: []string{self}}
	for _, id := range reckoned {
		if id != self && alive(id) {
			own.sees = append(own.sees, id)
		}
		own.lost = own.lost || !alive(id)
	}
	l.lines[self] = own
	var peers []limiter.Peer
	for id, x := range l.lines {
		peers = append(peers, limiter.Peer{ID: id, Age: l.now.Sub(x.at), Sees: slices.Clone(x.sees), Lost: x.lost})
	}
	return peers
}

// dealing is how limits were dealt out in many histories.
type dealing struct{ full, looks int }

// look fails when gateways have more than all of a limit.
func (d *dealing) look(t *testing.T, r *rand.Rand, all []*limiter.Roster, now time.Time) {
	t.Helper()
	for _, n := range []int64{1, 2, 3, 7, 100, 1001} {
		turn, sum := r.Uint64(), int64(0)
		for _, g := range all {
			sum += limiter.ShareOf(g, n, turn, now)
		}
		if sum > n {
			t.Fatalf("%d gateways have %d of %d", len(all), sum, n)
		}
		d.looks++
		if sum == n {
			d.full++
		}
	}
}

func (d *dealing) judge(t *testing.T) {
	t.Helper()
	t.Logf("%d of %d limits were dealt out in full", d.full, d.looks)
	if d.full < d.looks/10 {
		t.Error("the histories prove little")
	}
}

// TestSharesSumToN has gateways come, go, fall silent and come back, with replies that take their
// time, and looks at every step that their shares fit into the limit.
func TestSharesSumToN(t *testing.T) {
	rounds := 400
	if long() {
		rounds = 20_000
	}
	type reply struct {
		to    int
		begun time.Time
		peers []limiter.Peer
	}
	var seen dealing
	for round := range rounds {
		r := rand.New(rand.NewPCG(uint64(round), 7))
		l := &list{now: time.Unix(1_800_000_000, 0), lines: map[string]line{}}
		var all []*limiter.Roster
		var pending []reply
		waiting := map[int]bool{} // a gateway has one heartbeat at a time
		silent := map[int]time.Time{}
		for range 300 {
			l.now = l.now.Add(time.Duration(r.IntN(700)) * time.Millisecond)
			switch n := r.IntN(20); {
			case n == 0 && len(all) < 5:
				all = append(all, limiter.NewRoster(fmt.Sprint("node ", len(all)), false).By(l.clock))
			case n == 1 && len(all) > 0: // long enough to be given up, or nearly
				silent[r.IntN(len(all))] = l.now.Add(time.Duration(r.IntN(20)) * time.Second)
			case n < 10 && len(all) > 0:
				i := r.IntN(len(all))
				if waiting[i] || l.now.Before(silent[i]) {
					continue
				}
				begun := l.now
				l.now = l.now.Add(time.Duration(r.IntN(50)) * time.Millisecond)
				pending = append(pending, reply{i, begun, l.beat(all[i].Self(), all[i].Reckoned())})
				waiting[i] = true
			case len(pending) > 0:
				i := r.IntN(len(pending))
				p := pending[i]
				pending = slices.Delete(pending, i, i+1)
				waiting[p.to] = false
				all[p.to].Beat(p.begun, p.peers)
			}
			seen.look(t, r, all, l.now)
		}
	}
	seen.judge(t)
}

// TestSharesOfALostList: a list in the store itself may begin anew at any time, also twice in a row, while
// gateways come.
func TestSharesOfALostList(t *testing.T) {
	var seen dealing
	for round := range 200 {
		r := rand.New(rand.NewPCG(uint64(round), 8))
		l := &list{now: time.Unix(1_800_000_000, 0), lines: map[string]line{}}
		var all []*limiter.Roster
		for i := range 600 {
			l.now = l.now.Add(time.Duration(r.IntN(300)) * time.Millisecond)
			switch n := r.IntN(100); {
			case n < 2 && len(all) < 5:
				all = append(all, limiter.NewRoster(fmt.Sprint("node ", len(all)), true).By(l.clock))
			case n < 4:
				clear(l.lines)
			case len(all) > 0: // by turns, so that none is silent for long
				g := all[i%len(all)]
				g.Beat(l.now, l.beat(g.Self(), g.Reckoned()))
			}
			seen.look(t, r, all, l.now)
		}
	}
	seen.judge(t)
}

// TestShares: those who agree deal everything out, each unit to somebody, in turns.
func TestShares(t *testing.T) {
	names := []string{"a", "b", "c"}
	l := &list{now: time.Now(), lines: map[string]line{}}
	var all []*limiter.Roster
	for _, name := range names {
		all = append(all, limiter.NewRoster(name, false).By(l.clock))
	}
	beat := func(g *limiter.Roster) { g.Beat(l.now, l.beat(g.Self(), g.Reckoned())) }
	share := func(g *limiter.Roster, n int64, turn uint64) int64 { return limiter.ShareOf(g, n, turn, l.now) }

	beat(all[0])
	if got := share(all[0], 7, 0); got != 7 {
		t.Errorf("alone: got %d of 7", got)
	}
	beat(all[1])
	if got := share(all[1], 7, 0); got != 0 {
		t.Errorf("a newcomer: got %d, want 0 until the other makes room", got)
	}
	for range 4 {
		for _, g := range all {
			beat(g)
		}
	}
	for turn := range uint64(6) {
		for _, n := range []int64{1, 2, 3, 7} {
			var sum, most, least int64 = 0, 0, n
			for _, g := range all {
				s := share(g, n, turn)
				sum, most, least = sum+s, max(most, s), min(least, s)
			}
			if sum != n || most-least > 1 {
				t.Errorf("%d, turn %d: got %d dealt out, the most %d, the least %d", n, turn, sum, most, least)
			}
		}
	}
	got := map[int64]int{}
	for turn := range uint64(30) {
		got[share(all[0], 1, turn)]++
	}
	if got[1] != 10 {
		t.Errorf("one unit came to one of three gateways in %d of 30 turns, want 10", got[1])
	}

	l.now = l.now.Add(limiter.Lease)
	for _, g := range all {
		if s := share(g, 300, 0); s != 0 {
			t.Errorf("%s did not renew and has %d, want 0", g.Self(), s)
		}
	}
	beat(all[2])
	if got := share(all[2], 7, 0); got != 7 {
		t.Errorf("the others are gone: got %d, want 7", got)
	}
}

// TestShareForever: where the list is lost with the store nobody can renew, and all keep what they had.
func TestShareForever(t *testing.T) {
	l := &list{now: time.Now(), lines: map[string]line{}}
	a, b := limiter.NewRoster("a", true).By(l.clock), limiter.NewRoster("b", true).By(l.clock)
	for range 4 {
		a.Beat(l.now, l.beat("a", a.Reckoned()))
		b.Beat(l.now, l.beat("b", b.Reckoned()))
		l.now = l.now.Add(limiter.Lease / 2)
	}
	l.now = l.now.Add(24 * time.Hour)
	if got := limiter.ShareOf(a, 10, 0, l.now) + limiter.ShareOf(b, 10, 0, l.now); got != 10 {
		t.Errorf("got %d, want 10", got)
	}
	if got := limiter.ShareOf(limiter.NewRoster("c", true), 10, 0, l.now); got != 0 {
		t.Errorf("one that was never on the list: got %d, want 0", got)
	}
}
