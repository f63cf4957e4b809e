package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"postern/internal/keys"
	"postern/limiter"
)

// limitSet is every limit that applies to the requests of one plan on one route, ready to be put
// to a limiter: only subjects and calendar periods differ from request to request.
type limitSet struct {
	checks    []limiter.Check     // without Subject and Span
	calendars []*limiter.Calendar // by check, nil for sliding limits
	names     []string            // by check, as in credential-10s
	fields    []string            // by check, the fixed first part of its RateLimit member
	calendar  bool                // some check is a calendar limit
	tag       limiter.Level       // what the counters' common tag is
	noShare   bool                // the route's on_loss is not local
	tooSmall  string              // name of a limit below the route's cost, "" when all fit
	policy    atomic.Pointer[policyField]
}

// policyField is the RateLimit-Policy field of a set. Days and months differ in length, so it holds
// for the periods it was written for.
type policyField struct {
	spans []limiter.Span
	text  string
}

// limitSets are the sets of one route, by plan. A plan is immutable and a reload brings new ones,
// so the plan's address is its identity.
type limitSets struct {
	route          *route
	tenantCounters bool
	public         *limitSet
	byPlan         atomic.Pointer[map[*keys.Plan]*limitSet]
}

// A route remembers this many plans' sets; beyond it, it starts anew: only many reloads of plans
// under unchanged routes get there.
const rememberedPlans = 1024

// of returns the set for a plan.
func (s *limitSets) of(p *keys.Plan) *limitSet {
	for {
		old := s.byPlan.Load()
		if old != nil {
			if set, ok := (*old)[p]; ok {
				return set
			}
		}
		set := compileLimits(p, s.route, s.tagLevel(p))
		next := map[*keys.Plan]*limitSet{p: set}
		if old != nil && len(*old) < rememberedPlans {
			for k, v := range *old {
				next[k] = v
			}
		}
		if s.byPlan.CompareAndSwap(old, &next) {
			return set
		}
	}
}

// tagLevel chooses which counters live together in a shared store: a plan with only per-key limits
// is tagged by its credential, any other by owner, or by tenant as soon as some plan counts per
// tenant, so that one subject never counts under two tags.
func (s *limitSets) tagLevel(p *keys.Plan) limiter.Level {
	level := limiter.Credential
	for _, l := range p.Limits {
		level = max(level, l.Per)
	}
	if level > limiter.Credential && s.tenantCounters {
		return limiter.Tenant
	}
	return level
}

// compileLimits joins a plan's limits (none when p is nil) and a route's.
func compileLimits(p *keys.Plan, rt *route, tag limiter.Level) *limitSet {
	set := &limitSet{tag: tag, noShare: rt.OnLoss == OnLossDeny || rt.OnLoss == OnLossAllow}
	if p != nil {
		for _, l := range p.Limits {
			set.add(limiter.Counter{Level: l.Per}, l.Limit, p.Zone)
		}
	}
	for _, l := range rt.Limits {
		set.add(limiter.Counter{Level: limiter.Route, Route: rt.Name}, l, time.UTC)
	}
	for i, check := range set.checks {
		if check.Limit.N < max(rt.Cost, 1) {
			set.tooSmall = set.names[i]
		}
	}
	return set
}

func (s *limitSet) add(counter limiter.Counter, l limiter.Limit, zone *time.Location) {
	var calendar *limiter.Calendar
	if l.Unit != limiter.Sliding {
		if zone == nil {
			zone = time.UTC
		}
		calendar = limiter.NewCalendar(l.Unit, zone)
		s.calendar = true
	}
	name := counter.Level.String() + "-" + l.Label()
	s.checks = append(s.checks, limiter.Check{Counter: counter, Limit: l})
	s.calendars = append(s.calendars, calendar)
	s.names = append(s.names, name)
	s.fields = append(s.fields, `"`+name+`";r=`)
}

// query fills q for a request at now. p is nil on public routes, where who names the address.
func (s *limitSet) query(q *limiter.Query, p *keys.Principal, who string, cost int64, now time.Time) {
	q.Cost, q.NoShare = max(cost, 1), s.noShare
	q.Checks = append(q.Checks[:0], s.checks...)
	q.Tag = subject(s.tag, p, who)
	for i := range q.Checks {
		check := &q.Checks[i]
		check.Counter.Subject = subject(check.Counter.Level, p, who)
		if s.calendars[i] != nil {
			check.Span = s.calendars[i].At(now)
		}
	}
}

// subject is whose counter a level means.
func subject(l limiter.Level, p *keys.Principal, who string) string {
	switch {
	case p == nil:
		return who
	case l == limiter.Owner:
		return p.Owner
	case l == limiter.Tenant:
		return string(p.Tenant)
	default:
		return string(p.ID)
	}
}

// addressSubject names a client network in counters without telling the address: a keyed hash
// (prefix MAC, which is sound on an input of fixed length).
func addressSubject(key [sha256.Size]byte, network netip.Addr) string {
	var input [sha256.Size + 16]byte
	copy(input[:], key[:])
	address := network.As16()
	copy(input[sha256.Size:], address[:])
	sum := sha256.Sum256(input[:])
	var text [32]byte
	hex.Encode(text[:], sum[:16])
	return string(text[:])
}

// checkLimits is the last step: it spends, or tells why not.
func (c *call) checkLimits() *refusal {
	set := c.chooseSet()
	if set == nil {
		return refuse(keys.PlanUnavailable)
	}
	if len(set.checks) == 0 {
		return nil
	}
	if set.tooSmall != "" {
		x := refuse(keys.CostExceedsLimit)
		x.decision.Detail = "The request costs " + strconv.FormatInt(max(c.route.Cost, 1), 10) +
			" units, more than the limit " + set.tooSmall + " ever allows."
		return x
	}
	if c.trial != nil {
		return c.trial.checkLimits(c, set)
	}
	begin := time.Since(c.begun) // reads one clock where time.Now reads two
	set.query(&c.query, c.principal, c.subject, c.route.Cost, c.now)
	// A count once begun is not torn by a client that hangs up, so his context has no say.
	ctx := context.Background()
	err := c.gateway.limiter.Decide(ctx, &c.query, &c.answer)
	if errors.Is(err, limiter.ErrPeriodOver) {
		set.query(&c.query, c.principal, c.subject, c.route.Cost, c.gateway.periodTime(err))
		err = c.gateway.limiter.Decide(ctx, &c.query, &c.answer)
	}
	c.gateway.metrics.limiter.Observe((time.Since(c.begun) - begin).Seconds())
	if err != nil {
		if x := c.limiterFailed(err); x != nil {
			return x
		}
		return c.recheck()
	}
	c.gateway.metrics.undecided(c.answer.ByShare)
	if c.answer.ByShare {
		c.limitedBy = limitedByShare
	}
	c.set = set
	if !c.answer.Allowed {
		return c.exhausted()
	}
	return c.recheck()
}

// recheck looks at the credential once more after a limiter that may wait: what was revoked meanwhile,
// and confirmed to whoever revoked it, is not admitted here. What was spent stays so.
func (c *call) recheck() *refusal {
	if !c.gateway.waits || c.principal == nil {
		return nil
	}
	code := c.gateway.directory.Recheck(c.presented.Presented, c.principal, c.gateway.now())
	if code == keys.Admitted {
		return nil
	}
	x := refuse(code)
	if code == keys.DirectoryUnavailable {
		x.retryAfter = time.Second
	}
	return x
}

// periodTime is the time whose day and month a limiter asks for that said ErrPeriodOver: its own, where
// that is not ours, so that a wrong clock here does not choose the day; else a period has ended since
// the request began.
func (g *Gateway) periodTime(err error) time.Time {
	var over *limiter.PeriodError
	if errors.As(err, &over) {
		return over.Now
	}
	return g.now()
}

// chooseSet finds the limits in force; nil when the credential's plan is gone.
func (c *call) chooseSet() *limitSet {
	if c.principal == nil {
		if len(c.route.Limits) > 0 {
			c.subject = addressSubject(c.gateway.addressKey, keys.ClientNetwork(c.address))
		}
		return c.route.sets.public
	}
	plan := c.principal.Plan()
	if plan == nil {
		return nil
	}
	return c.route.sets.of(plan)
}

// limiterFailed turns "cannot know" into what the route says for it. The limiter itself implements
// on_loss: local, so an error under it is a plain inability.
func (c *call) limiterFailed(err error) *refusal {
	c.gateway.metrics.undecided(true)
	if c.gateway.alarm.due() {
		c.gateway.log.Error("the limiter cannot answer", "error", err, "request_id", c.id)
	}
	x := c.route.withoutLimiter()
	if x == nil {
		c.limitedBy = limitedByNothing
	}
	return x
}

// withoutLimiter is what the route says for when the limiter cannot answer.
func (rt *route) withoutLimiter() *refusal {
	if rt.OnLoss == OnLossAllow {
		return nil
	}
	x := refuse(keys.LimiterUnavailable)
	x.retryAfter = time.Second
	return x
}

// exhausted tells which limits refuse. The one that frees last gives code and Retry-After: waiting
// for any other would be in vain.
func (c *call) exhausted() *refusal {
	code, wait := keys.RateLimited, time.Duration(0)
	full := make([]limitState, 0, len(c.set.checks))
	for i, state := range c.answer.States {
		if state.Retry <= 0 {
			continue
		}
		limit := c.set.checks[i].Limit
		full = append(full, limitState{
			name: c.set.names[i], limit: limit.N, window: limit.Label(),
			used: state.Used, retryAfter: state.Retry,
		})
		if state.Retry > wait {
			wait, code = state.Retry, keys.RateLimited
			if limit.Unit != limiter.Sliding {
				code = keys.QuotaExceeded
			}
		}
	}
	x := refuse(code)
	x.limits, x.retryAfter = full, wait
	return x
}

// peekLimits fills the states for the rate-limit headers of a refusal that came before the limits.
// It spends nothing; what it cannot find out is left away.
func (c *call) peekLimits(ctx context.Context) {
	plan := c.principal.Plan()
	if plan == nil {
		return
	}
	set := c.route.sets.of(plan)
	if len(set.checks) == 0 {
		return
	}
	cost := c.route.Cost
	if set.tooSmall != "" {
		cost = 1 // the limiter does not look at what could never be met
	}
	set.query(&c.query, c.principal, "", cost, c.now)
	if c.gateway.limiter.Peek(ctx, &c.query, &c.answer) == nil {
		c.set = set
	}
}
