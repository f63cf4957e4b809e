package gateway

import (
	"testing"
	"time"

	"postern/internal/keys"
)

func TestTooManyFailures(t *testing.T) {
	c := newClock()
	h := start(t, nil, withClock(c), func(o *Options) { o.FailuresPerMinute = 3 })
	for range 3 {
		wantCode(t, h.get("/", "wrong"), keys.InvalidCredentials)
	}
	c.advance(10 * time.Second)
	a := h.get("/", "wrong")
	wantCode(t, a, keys.TooManyFailures)
	if a.Header.Get("Retry-After") != "50" {
		t.Errorf("Retry-After is %q, want 50", a.Header.Get("Retry-After"))
	}
	wantStatus(t, h.get("/", goodKey), 200)                     // a right key is never throttled by it
	wantCode(t, h.get("/", expiredKey), keys.CredentialExpired) // nor one whose possession is proved
	wantCode(t, h.get("/", ""), keys.MissingCredentials)        // and none is no guess
	c.advance(50 * time.Second)
	wantCode(t, h.get("/", "wrong"), keys.InvalidCredentials)
}
