package limiter

import (
	"context"
	"fmt"
	"time"
)

// shareRetry is what somebody is told to wait whom only the store's return helps: it is asked for
// again within about this time after it is back.
const shareRetry = time.Second

// shareAsk is a query for the limiter of shares: of the limits only those that a share of can be met,
// each with the share in place of N.
type shareAsk struct {
	query  Query
	answer Answer
	shares []int64 // of all limits
}

// byShare decides by this gateway's share of each limit. Windows go on from one loss to the next; of a
// day or month each loss deals out what was left when the store was last heard of.
func (f *Failover) byShare(ctx context.Context, q *Query, a *Answer, spend bool) error {
	a.Allowed, a.States = false, a.States[:0]
	if err := q.validate(); err != nil {
		return fmt.Errorf("decide limits: %w", err)
	}
	standing := f.roster.at(time.Now())
	if standing.of == 0 { // to refuse would blame the caller
		return fmt.Errorf("decide limits: %w, and this gateway has no share of them", ErrUnavailable)
	}
	ask := f.asks.Get().(*shareAsk)
	defer f.asks.Put(ask)
	f.deal(ask, q, standing)
	met := len(ask.query.Checks) == len(q.Checks)
	if err := f.local.answer(ctx, &ask.query, &ask.answer, spend && met); err != nil {
		return err
	}
	a.Allowed, a.ByShare = met && ask.answer.Allowed, true
	if spend && a.Allowed {
		f.shared.Charge(q)
	}
	states := ask.answer.States
	for i := range q.Checks {
		limit, share := q.Checks[i].Limit, ask.shares[i]
		if share < q.Cost {
			a.States = append(a.States, State{Used: limit.N, Retry: shareRetry, Reset: shareRetry})
			continue
		}
		s := states[0]
		states = states[1:]
		s.Used += limit.N - share // so that what is left is what is left of the share
		if limit.Unit != Sliding {
			s.Retry = min(s.Retry, shareRetry)
		}
		a.States = append(a.States, s)
	}
	return nil
}

// deal fills ask with what this gateway's shares can meet.
func (f *Failover) deal(ask *shareAsk, q *Query, p standing) {
	turn, began := turnOf(q.Tag), f.beginLoss(f.local.clock.read().wall)
	ask.query.Cost, ask.query.Checks, ask.shares = q.Cost, ask.query.Checks[:0], ask.shares[:0]
	for i := range q.Checks {
		c := q.Checks[i]
		if c.Limit.Unit == Sliding {
			c.Limit.N = p.share(c.Limit.N, turn)
		} else {
			total, _, _ := f.shared.Known(&c)
			c.Limit.N = max(0, c.Limit.N-total) / int64(p.of)
			c.Span.Start = max(c.Span.Start, began) // a counter of its own for each loss
		}
		ask.shares = append(ask.shares, c.Limit.N)
		if c.Limit.N >= q.Cost {
			ask.query.Checks = append(ask.query.Checks, c)
		}
	}
}

// beginLoss returns when the present loss began, which is now if there was none.
func (f *Failover) beginLoss(now int64) int64 {
	if f.lost.CompareAndSwap(0, now) {
		return now
	}
	if began := f.lost.Load(); began != 0 {
		return began
	}
	return now // the store came back in between
}
