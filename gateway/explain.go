package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"postern/internal/keys"
	"postern/limiter"
)

// Rules of this file: an explanation is a decision like any other, by the same function. What differs
// is that the call is nobody's request: a trial stands in it, looks where a request would count, and
// knows what is shown without a header that shows it. It changes no counter and no metric.

// step is one of the named steps of a decision, in their order.
type step uint8

const (
	stepGuard step = iota
	stepRoute
	stepPreflight
	stepBody
	stepCredential
	stepAuthenticate
	stepAddress
	stepScopes
	stepLimits
)

// stepNames are the steps' outside names.
var stepNames = [...]string{"guard", "route", "preflight", "body", "credential", "authenticate", "address", "scopes", "limits"}

// finder is what a Directory can do beside for explanations; keys.Directory can.
type finder interface {
	// ByID returns a credential and what whoever showed its text would be told; nil for none.
	ByID(id keys.CredentialID, now time.Time) (*keys.Principal, keys.Code)
	// ByText returns whose text it is; nil for nobody's.
	ByText(text string) *keys.Principal
}

// errCannotExplain tells that the directory finds no credential but by a request.
var errCannotExplain = errors.New("this directory of credentials cannot explain")

// trial is what is explained.
type trial struct {
	question keys.Question
	finder   finder
	shown    *keys.Principal // whose credential is shown, known or not to whoever asks; nil: nobody's
}

// Explain tells how a call would be decided now, as a request over HTTP/1.1 with nothing but a Host
// and the credential, shown where the route accepts it. It wraps keys.ErrNotFound when there is no
// credential with the question's Key, or none that its Tenant may know of. It is safe for concurrent
// use.
func (g *Gateway) Explain(q keys.Question) (keys.Explanation, error) {
	find, ok := g.directory.(finder)
	if !ok {
		return keys.Explanation{}, errCannotExplain
	}
	t := &trial{question: q, finder: find}
	c := g.newCall()
	c.snapshot, c.trial = g.snapshot.Load(), t
	c.begun, c.now = time.Now(), g.now()
	if q.Key != "" {
		who, _ := find.ByID(q.Key, c.now)
		if who == nil && g.directory.Ready(c.now) == nil || who != nil && !t.knows(who) {
			return keys.Explanation{}, fmt.Errorf("explain a call of %s: %w", q.Key, keys.ErrNotFound)
		}
		t.shown = who
	} else if text := q.Secret.Reveal(); text != "" {
		t.shown = find.ByText(text)
	}
	r, x := trialRequest(q)
	if x == nil {
		c.inbound = r
		x = c.decide(r)
	}
	return c.explanation(x), nil
}

// knows tells whether whoever asks may know of a credential.
func (t *trial) knows(who *keys.Principal) bool {
	return t.question.Tenant == "" || who.Tenant == t.question.Tenant
}

// blind tells whether what is counted by client address is hidden from whoever asks. A nil trial is
// a request, which sees everything.
func (t *trial) blind() bool { return t != nil && t.question.Tenant != "" }

// present puts the credential where the route accepts it. x is what was found of a credential in the
// request itself, that is, in its query.
func (t *trial) present(c *call, x *refusal) *refusal {
	q := &t.question
	if q.Key == "" && q.Secret.Reveal() == "" || x != nil && x.decision.Code != keys.MissingCredentials {
		return x
	}
	if x == nil {
		c.presented = presented{}
		return ambiguous("The request holds two credentials; send one.")
	}
	text := q.Secret.Reveal()
	client := t.shown != nil && t.shown.Kind == keys.Client || t.shown == nil && c.gateway.format.Parse(text).Kind == keys.ClientSecretText
	c.presented.Text = text
	switch {
	case !client:
	case !c.route.carriers.basic && !c.route.carriers.client:
		x.decision.Detail = "The route accepts no place in which a client's id and secret could stand."
		return x
	case t.shown != nil:
		c.presented.ClientID = string(t.shown.ID)
	}
	return nil
}

// identity finds who is shown, in the bounds of what whoever asks may know.
func (t *trial) identity(c *call) (*keys.Principal, keys.Code) {
	if t.question.Key != "" {
		return t.finder.ByID(t.question.Key, c.now)
	}
	who, code := c.gateway.directory.Authenticate(c.presented.Presented, c.now)
	if who != nil && !t.knows(who) {
		return nil, keys.InvalidCredentials
	}
	return who, code
}

// checkLimits looks where a request would spend.
func (t *trial) checkLimits(c *call, set *limitSet) *refusal {
	if c.principal == nil && t.blind() {
		return nil
	}
	if err := c.peek(set, c.route.Cost); err != nil {
		return c.route.withoutLimiter()
	}
	if c.answer.Allowed {
		return nil
	}
	return c.exhausted()
}

// peek fills the states of a set.
func (c *call) peek(set *limitSet, cost int64) error {
	ctx := context.Background()
	set.query(&c.query, c.principal, c.subject, cost, c.now)
	err := c.gateway.limiter.Peek(ctx, &c.query, &c.answer)
	if errors.Is(err, limiter.ErrPeriodOver) {
		set.query(&c.query, c.principal, c.subject, cost, limiterTime(err, c.gateway.now()))
		err = c.gateway.limiter.Peek(ctx, &c.query, &c.answer)
	}
	if err == nil {
		c.set = set
	}
	return err
}

// addressOf is an address as a listener would say it.
func addressOf(a netip.Addr) string { return netip.AddrPortFrom(a, 1).String() }
