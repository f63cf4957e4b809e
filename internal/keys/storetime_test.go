package keys

import (
	"testing"
	"time"
)

// TestStoreTime: credentials end by the clock of a shared store, however wrong the own one is, and
// readings that take long do not spoil what is known.
func TestStoreTime(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const off = time.Hour // of the own clock
	passed := time.Duration(0)
	d := NewDirectory(DirectoryOptions{Shared: true, Now: func() time.Time { return start.Add(off + passed) }})
	there := func() time.Time { return start.Add(passed) }
	want := func(when string, most time.Duration) {
		t.Helper()
		if wrong := d.Now().Sub(there()).Abs(); wrong > most {
			t.Errorf("%s: off by %v, want at most %v", when, wrong, most)
		}
	}
	// read takes so long, and the store looks at its clock so long before the end.
	read := func(took, before time.Duration) {
		began := d.instant()
		passed += took - before
		at := there()
		passed += before
		d.readClock(at, began, d.instant())
	}
	want("before any reading", off)
	if d.Now() != d.now() {
		t.Error("before any reading it is not the own clock")
	}
	read(400*time.Millisecond, 400*time.Millisecond)
	want("after a slow answer", 200*time.Millisecond)
	read(2*time.Millisecond, time.Millisecond)
	want("after a quick one", 2*time.Millisecond)
	for _, before := range []time.Duration{0, time.Second, 2 * time.Second} {
		read(2*time.Second, before)
		want("after another slow one", 2*time.Millisecond)
	}
	passed += 59 * time.Minute
	want("after an outage", 2*time.Millisecond)
	start = start.Add(-3 * time.Hour) // both clocks are set, of which only the store's counts
	read(2*time.Millisecond, time.Millisecond)
	want("after the clocks were set", 2*time.Millisecond)

	alone := NewDirectory(DirectoryOptions{Now: d.now})
	alone.readClock(there(), alone.instant(), alone.instant())
	if alone.Now() != alone.now() {
		t.Error("a store that is not shared has another clock than ours")
	}
}

// TestStoreTimeEnds: what asks whether a credential has ended goes by the shared store's clock.
func TestStoreTimeEnds(t *testing.T) {
	h := newHouse(t)
	g := h.generate(NewCredential{Expiry: &Lifetime{For: 20 * time.Minute}})
	text, now := Presented{Text: g.Secret.Reveal()}, h.clock.Now()
	for _, c := range []struct {
		there time.Duration // from the own clock
		want  Code
	}{
		{0, Admitted}, {19 * time.Minute, Admitted}, {20 * time.Minute, CredentialExpired}, {-20 * time.Minute, Admitted},
	} {
		h.dir.clock.Store(&clockReading{here: instantRead{at: now}, there: now.Add(c.there)})
		who, code := h.dir.Authenticate(text, now)
		_, byID := h.dir.ByID(g.Credential.ID, now)
		if code != c.want || byID != c.want || h.dir.Recheck(text, who, now) != c.want {
			t.Errorf("the store's clock %v ahead: %q, by id %q, again %q, want %q", c.there, code, byID, h.dir.Recheck(text, who, now), c.want)
		}
		if end := now.Add(20*time.Minute - c.there); c.want == Admitted {
			if _, code := h.dir.Authenticate(text, end.Add(-time.Microsecond)); code != Admitted {
				t.Errorf("the store's clock %v ahead, just before the end: %q", c.there, code)
			}
			if _, code := h.dir.Authenticate(text, end); code != CredentialExpired {
				t.Errorf("the store's clock %v ahead, at the end: %q", c.there, code)
			}
		}
		h.dir.stats = statsCache{}
		if expired := h.dir.Stats(now).ByStatus[Expired]; (expired == 1) != (c.want == CredentialExpired) {
			t.Errorf("the store's clock %v ahead: %d are counted as expired", c.there, expired)
		}
	}
}
