package limiter_test

import (
	"os"
	"sync/atomic"
	"testing"
	"time"

	"postern/limiter"
)

// long tells whether the long forms of tests run.
func long() bool { return os.Getenv("POSTERN_LONG") == "1" }

// hand is a clock that is moved by hand, in whole µs. Safe for concurrent use.
type hand struct{ micros atomic.Int64 }

func clockAt(t testing.TB, rfc3339 string) *hand {
	t.Helper()
	start, err := time.Parse(time.RFC3339Nano, rfc3339)
	if err != nil {
		t.Fatal(err)
	}
	h := &hand{}
	h.micros.Store(start.UnixMicro())
	return h
}

func (h *hand) now() time.Time       { return time.UnixMicro(h.micros.Load()) }
func (h *hand) move(d time.Duration) { h.micros.Add(d.Microseconds()) }

func parse(t testing.TB, s string) limiter.Limit {
	t.Helper()
	l, err := limiter.ParseLimit(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// on makes a check of a credential's limit.
func on(t testing.TB, subject, limit string) limiter.Check {
	t.Helper()
	return limiter.Check{Counter: limiter.Counter{Subject: subject}, Limit: parse(t, limit)}
}

// must fails the test when the limiter could not decide.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
