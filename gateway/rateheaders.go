package gateway

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"postern/limiter"
)

// Canonical names of what we say about limits: RateLimit fields as in
// draft-ietf-httpapi-ratelimit-headers-09, sections 3 and 4, and the older custom ones.
const (
	headerPolicy    = "Ratelimit-Policy"
	headerRateLimit = "Ratelimit"
	headerLimit     = "X-Ratelimit-Limit"
	headerRemaining = "X-Ratelimit-Remaining"
	headerReset     = "X-Ratelimit-Reset"
)

// headerLimitedBy tells, while the limiter's store is lost, what decides in its place.
const headerLimitedBy = "X-Postern-Limited-By"

// The values of headerLimitedBy, shared by all answers.
var (
	limitedByShare   = []string{"share"}   // on_loss: local; the fields tell what is left of this gateway's share
	limitedByNothing = []string{"nothing"} // on_loss: allow
)

// setRateHeaders tells where the caller stands under every limit, in place of whatever an upstream
// says by these names. (Where nothing of ours applies, the upstream's own pass.) It fills the first
// five of the values.
func (c *call) setRateHeaders(h http.Header, values []string) {
	set, states := c.set, c.answer.States
	text := c.text[:0]
	least, leastShare := 0, 2.0
	for i := range states {
		n := set.checks[i].Limit.N
		left := max(n-states[i].Used, 0)
		if share := float64(left) / float64(n); share < leastShare {
			least, leastShare = i, share
		}
		if i > 0 {
			text = append(text, ", "...)
		}
		text = append(text, set.fields[i]...)
		text = strconv.AppendInt(text, left, 10)
		text = append(text, ";t="...)
		text = strconv.AppendInt(text, secondsToReset(set.checks[i].Limit, states[i]), 10)
	}
	field := len(text)
	values[0] = set.policyText(c.query.Checks)
	h[headerPolicy] = values[0:1:1]
	if !c.snapshot.legacyRateLimit {
		delete(h, headerLimit)
		delete(h, headerRemaining)
		delete(h, headerReset)
		c.text = text
		values[1] = c.slab.text(text)
		h[headerRateLimit] = values[1:2:2]
		return
	}
	n := set.checks[least].Limit.N
	text = strconv.AppendInt(text, n, 10)
	limitEnd := len(text)
	text = strconv.AppendInt(text, max(n-states[least].Used, 0), 10)
	remainingEnd := len(text)
	text = strconv.AppendInt(text, secondsToReset(set.checks[least].Limit, states[least]), 10)
	c.text = text
	all := c.slab.text(text)
	values[1], values[2] = all[:field], all[field:limitEnd]
	values[3], values[4] = all[limitEnd:remainingEnd], all[remainingEnd:]
	h[headerRateLimit] = values[1:2:2]
	h[headerLimit] = values[2:3:3]
	h[headerRemaining] = values[3:4:4]
	h[headerReset] = values[4:5:5]
}

// secondsToReset is when a limit's oldest unit leaves. The limiter books a unit at the latest instant
// it can have come, a resolution later at most; here that would turn "within the second" into two.
func secondsToReset(l limiter.Limit, s limiter.State) int64 {
	if l.Unit == limiter.Sliding {
		return wholeSeconds(min(s.Reset, l.Window))
	}
	return wholeSeconds(s.Reset)
}

// wholeSeconds rounds up, so that a caller who waits them never comes too early.
func wholeSeconds(d time.Duration) int64 {
	return int64((d + time.Second - 1) / time.Second)
}

// policyText is the RateLimit-Policy field: quota q and window w in seconds of every limit.
func (s *limitSet) policyText(checks []limiter.Check) string {
	if p := s.policy.Load(); p != nil && s.sameSpans(p.spans, checks) {
		return p.text
	}
	p := &policyField{spans: make([]limiter.Span, len(checks))}
	var text []byte
	for i, check := range checks {
		p.spans[i] = check.Span
		window := wholeSeconds(check.Limit.Window)
		if check.Limit.Unit != limiter.Sliding {
			window = (check.Span.End - check.Span.Start) / 1e6
		}
		if i > 0 {
			text = append(text, ", "...)
		}
		text = append(text, '"')
		text = append(text, s.names[i]...)
		text = append(text, `";q=`...)
		text = strconv.AppendInt(text, check.Limit.N, 10)
		text = append(text, ";w="...)
		text = strconv.AppendInt(text, window, 10)
	}
	p.text = string(text)
	s.policy.Store(p)
	return p.text
}

// sameSpans tells whether a text written for those periods still holds.
func (s *limitSet) sameSpans(spans []limiter.Span, checks []limiter.Check) bool {
	if !s.calendar {
		return true
	}
	return slices.EqualFunc(spans, checks, func(a limiter.Span, b limiter.Check) bool { return a == b.Span })
}
