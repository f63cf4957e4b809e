package limiter

import (
	"context"
	"fmt"
	"time"
)

// shareRetry is what somebody is told to wait whom only the store's return helps: it is asked for
// again within about this time after it is back.
const shareRetry = time.Second

// shareAsk is a query for the limiter of shares: of the windows only those that a share of can be met,
// each with the share in place of N.
type shareAsk struct {
	query  Query
	answer Answer
}

// byShare decides by this gateway's share of each limit: of a window the share of N, of a day or month
// the share of what was left when the store was last heard of. One decision after another, so that what
// is decided is what is charged.
func (f *Failover) byShare(ctx context.Context, q *Query, a *Answer, spend bool) error {
	a.Allowed, a.States = false, a.States[:0]
	if err := q.validate(); err != nil {
		return fmt.Errorf("decide limits: %w", err)
	}
	place := f.roster.at(f.roster.now())
	if place.of == 0 { // to refuse would blame the caller
		return fmt.Errorf("decide limits: %w, and this gateway has no share of them", ErrUnavailable)
	}
	f.sharing.Lock()
	defer f.sharing.Unlock()
	allowed, err := f.askWindows(ctx, q, place)
	if err != nil {
		return err
	}
	now, left := f.local.clock.read().wall, f.ask.answer.States
	turn := turnOf(q.Tag)
	for i := range q.Checks {
		c := &q.Checks[i]
		var s State
		switch share := place.share(c.Limit.N, turn); {
		case c.Limit.Unit != Sliding:
			if !c.Span.Contains(now) {
				a.States = a.States[:0]
				return fmt.Errorf("decide limits: %w", ErrPeriodOver)
			}
			s = f.periodState(c, q.Cost, now, place.of)
			allowed = allowed && s.Retry == 0
		case share < q.Cost:
			s, allowed = State{Used: c.Limit.N, Retry: shareRetry, Reset: shareRetry}, false
		default:
			s, left = left[0], left[1:]
			s.Used += c.Limit.N - share // so that what is left is what is left of the share
		}
		a.States = append(a.States, s)
	}
	a.Allowed, a.ByShare = allowed, true
	if !spend || !allowed {
		return nil
	}
	if err := f.spendShare(ctx, q); err != nil {
		a.Allowed, a.States = false, a.States[:0]
		return err
	}
	for i := range a.States {
		a.States[i].Used += q.Cost
		if a.States[i].Reset == 0 {
			a.States[i].Reset = q.Checks[i].Limit.Window
		}
	}
	return nil
}

// askWindows looks where the windows stand that a share can meet, and tells whether all of those do.
func (f *Failover) askWindows(ctx context.Context, q *Query, place standing) (bool, error) {
	ask, turn := &f.ask, turnOf(q.Tag)
	ask.query.Cost, ask.query.Checks = q.Cost, ask.query.Checks[:0]
	for i := range q.Checks {
		c := q.Checks[i]
		if c.Limit.N = place.share(c.Limit.N, turn); c.Limit.Unit == Sliding && c.Limit.N >= q.Cost {
			ask.query.Checks = append(ask.query.Checks, c)
		}
	}
	err := f.local.Peek(ctx, &ask.query, &ask.answer)
	return ask.answer.Allowed, err
}

// periodState is where this gateway's share of what is left of a day or month stands. What is left does
// not divide exactly; the rest is for when the store is back.
func (f *Failover) periodState(c *Check, cost, now int64, of int) State {
	total, since := f.shared.Known(c)
	share := max(0, c.Limit.N-total) / int64(of)
	s := State{Used: c.Limit.N - share + since, Reset: micros(c.Span.End - now)}
	if cost > share-since {
		s.Used, s.Retry = min(s.Used, c.Limit.N), min(s.Reset, shareRetry)
	}
	return s
}

// spendShare charges what was just found to be allowed.
func (f *Failover) spendShare(ctx context.Context, q *Query) error {
	if err := f.shared.Charge(q); err != nil {
		return fmt.Errorf("decide limits: %w", err)
	}
	return f.local.Decide(ctx, &f.ask.query, &f.ask.answer)
}
