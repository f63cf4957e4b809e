package admin

import (
	"context"
	"net/netip"

	"postern/internal/keys"
)

// call is what is known of the request under way. It travels in the context because huma makes its
// error answers without knowing who asks; withCall sets it, callOf gets it, one goroutine uses it.
type call struct {
	id      string
	address netip.Addr
	contact keys.Contact
	actor   keys.Actor    // zero until signed in
	session keys.Secret   // text of the cookie; zero without one, or with several
	opened  *keys.Session // of the actor; nil for a token
	request [32]byte      // SHA-256 of all that is asked for, once the body was read
	input   *inputShape
	cause   error // why we failed, for the log only
}

// caller is where the request comes from.
func (c *call) caller() keys.Caller { return keys.Caller{Address: c.address, RequestID: c.id} }

type callKey struct{}

func withCall(ctx context.Context, c *call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// callOf returns the call of a request that came through ServeHTTP, and an empty one otherwise.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{}
}
