package keys

import (
	"errors"
	"testing"
	"time"
)

// TestSleepAgesWhatIsKnown: the monotonic clock stands still while the machine is suspended, and what
// was known before is as old as it is all the same. A wall clock that is set changes nothing.
func TestSleepAgesWhatIsKnown(t *testing.T) {
	up, asked := 10*time.Second, 0
	d := NewDirectory(DirectoryOptions{Uptime: func() time.Duration { asked++; return up }})
	from := d.instant()
	for _, c := range []struct {
		name                          string
		monotonic, wall, uptime, want time.Duration
		asks                          int
	}{
		{"awake", time.Second, time.Second, time.Second, time.Second, 0},
		{"suspended", time.Second, 2 * time.Hour, 2 * time.Hour, 2 * time.Hour, 1},
		{"clock put forward", time.Second, time.Hour, time.Second, time.Second, 1},
		{"clock put back", time.Second, -time.Hour, time.Second, time.Second, 0},
		{"clock of a test put back", -time.Hour, -time.Hour, 0, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			up, asked = 10*time.Second+c.uptime, 0
			if got := d.passed(from, c.monotonic, c.wall); got != c.want || asked != c.asks {
				t.Errorf("got %s after %d questions, want %s after %d", got, asked, c.want, c.asks)
			}
		})
	}
}

// TestSharedDirectoryNeedsItsRegistration: it answers while others know of it, and not by what it read
// before they did.
func TestSharedDirectoryNeedsItsRegistration(t *testing.T) {
	h := newHouse(t)
	d := NewDirectory(DirectoryOptions{Store: h.store, Vault: h.vault, Format: h.format, Catalog: h.catalog, Now: h.clock.Now, MaxStale: time.Minute, Shared: true})
	g := h.generate(NewCredential{})
	code := func() Code {
		_, code := d.Authenticate(Presented{Text: g.Secret.Reveal()}, h.clock.Now())
		return code
	}
	readNow := func() {
		t.Helper()
		if err := d.catchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	read := func() {
		t.Helper()
		h.clock.advance(time.Nanosecond)
		readNow()
	}
	beat := func() {
		begun := d.instant()
		h.clock.advance(time.Millisecond) // it takes a while
		d.registered(begun, false)
	}
	if err := d.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := code(), d.Ready(h.clock.Now()); got != DirectoryUnavailable || !errors.Is(err, ErrUnregistered) {
		t.Errorf("not registered: %q, %v", got, err)
	}
	beat()
	if got := code(); got != DirectoryUnavailable {
		t.Errorf("loaded before it was registered: %q", got)
	}
	readNow()
	if got := code(); got != DirectoryUnavailable {
		t.Errorf("read at the very time at which it was registered, perhaps before: %q", got)
	}
	read()
	if got, err := code(), d.Ready(h.clock.Now()); got != Admitted || err != nil {
		t.Errorf("registered: %q, %v", got, err)
	}
	h.clock.advance(50 * time.Second)
	beat()
	read()
	h.clock.advance(50 * time.Second)
	read()
	if got := code(); got != Admitted {
		t.Errorf("50 s after a heartbeat: %q", got)
	}
	h.clock.advance(11 * time.Second)
	read()
	if got, err := code(), d.Ready(h.clock.Now()); got != DirectoryUnavailable || !errors.Is(err, ErrUnregistered) {
		t.Errorf("61 s after a heartbeat: %q, %v", got, err)
	}
	beat()
	if got := code(); got != DirectoryUnavailable {
		t.Errorf("registered anew, and not read since: %q", got)
	}
	read()
	if got := code(); got != Admitted {
		t.Errorf("registered anew, and read: %q", got)
	}
	d.deregister()
	if got := code(); got != DirectoryUnavailable {
		t.Errorf("after leaving: %q", got)
	}
}

// TestFingerprint: equal for equal things, and nothing without the pepper.
func TestFingerprint(t *testing.T) {
	v, other := testVault(t), testVault(t)
	a := v.Fingerprint([]byte("a"))
	if len(a) != 32 || a != v.Fingerprint([]byte("a")) || a == v.Fingerprint([]byte("b")) || a == other.Fingerprint([]byte("a")) {
		t.Errorf("got %q", a)
	}
}
