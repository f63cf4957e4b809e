package limiter_test

import (
	"time"

	"postern/limiter"
)

// model is what a limiter must decide, said as plainly as possible: for each counter a list of
// admissions, each with its time rounded up to the resolution and never below its predecessor.
type model map[modelName][]admission

type modelName struct {
	counter limiter.Counter
	window  limiter.Limit // without N
	start   int64
}

type admission struct{ time, units int64 }

// decide answers at now, in µs since the epoch. It knows no errors but the one of a wrong span.
func (m model) decide(now int64, q *limiter.Query, spend bool) (a limiter.Answer, err error) {
	a.Allowed = true
	names := make([]modelName, len(q.Checks))
	lives := make([][]admission, len(q.Checks))
	for i, c := range q.Checks {
		names[i] = modelName{c.Counter, limiter.Limit{Unit: c.Limit.Unit, Window: c.Limit.Window}, c.Span.Start}
		lives[i] = m[names[i]]
		var s limiter.State
		if c.Limit.Unit != limiter.Sliding {
			if now < c.Span.Start || now >= c.Span.End {
				return limiter.Answer{}, limiter.ErrPeriodOver
			}
		} else {
			for len(lives[i]) > 0 && lives[i][0].time <= now-c.Limit.Window.Microseconds() {
				lives[i] = lives[i][1:]
			}
		}
		for _, unit := range lives[i] {
			s.Used += unit.units
		}
		excess := s.Used + q.Cost - c.Limit.N
		for k := 0; excess > 0; k++ {
			s.Retry = leaves(c, lives[i][k]) - time.Duration(now)*time.Microsecond
			excess -= lives[i][k].units
			if c.Limit.Unit != limiter.Sliding {
				break
			}
		}
		a.Allowed = a.Allowed && s.Retry == 0
		a.States = append(a.States, s)
	}
	for i, c := range q.Checks {
		if a.Allowed && spend {
			m[names[i]] = admit(lives[i], now, q.Cost, c.Limit.Resolution().Microseconds())
			lives[i] = m[names[i]]
			a.States[i].Used += q.Cost
		}
		if len(lives[i]) > 0 {
			a.States[i].Reset = leaves(c, lives[i][0]) - time.Duration(now)*time.Microsecond
		}
	}
	return a, nil
}

func admit(log []admission, now, units, resolution int64) []admission {
	e := now
	if n := len(log); n > 0 && now <= log[n-1].time {
		e = log[n-1].time
	} else if resolution > 0 {
		for e%resolution != 0 {
			e += resolution - e%resolution
		}
	}
	return append(log[:len(log):len(log)], admission{e, units})
}

func leaves(c limiter.Check, unit admission) time.Duration {
	if c.Limit.Unit != limiter.Sliding {
		return time.Duration(c.Span.End) * time.Microsecond
	}
	return time.Duration(unit.time)*time.Microsecond + c.Limit.Window
}
