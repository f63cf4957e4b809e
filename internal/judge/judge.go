// Package judge proves limiters wrong from what their callers saw, without a look at the limiter: in
// tests, and in postern bench accuracy.
package judge

import (
	"slices"
	"time"

	"postern/limiter"
)

// Call is one request of cost 1 as its caller saw it, with times on one clock since some start. When
// within it the limiter decided is not known, and not needed.
type Call struct {
	Called, Returned time.Duration
	Admitted         bool
}

// Verdict is what calls prove about a sliding limit.
type Verdict struct {
	Admitted, Refused int
	Over              int // intervals shorter than the window with more than N admitted calls inside
	Wrong             int // refusals in whose window, lengthened by the resolution, fewer than N can lie
}

// Judge raises no false alarms: it counts only what is wrong wherever in their calls the decisions
// were made. Refused calls may be left out of the list, admitted ones may not.
func Judge(limit limiter.Limit, list []Call) Verdict {
	var v Verdict
	var calls, returns []time.Duration // of admitted calls
	var short, shortEnds []time.Duration
	for _, c := range list {
		if !c.Admitted {
			continue
		}
		calls, returns = append(calls, c.Called), append(returns, c.Returned)
		if c.Returned-c.Called < limit.Window { // the others fit in no interval shorter than it
			short, shortEnds = append(short, c.Called), append(shortEnds, c.Returned)
		}
	}
	for _, s := range [][]time.Duration{calls, returns, short, shortEnds} {
		slices.Sort(s)
	}
	v.Admitted, v.Refused = len(calls), len(list)-len(calls)
	for i, start := range short {
		// The i calls before this one ended before start + window too, being short.
		before, _ := slices.BinarySearch(short, start)
		inside := earlier(shortEnds, start+limit.Window) - before
		if i == before && int64(inside) > limit.N {
			v.Over++
		}
	}
	reach := limit.Window + limit.Resolution()
	for _, c := range list {
		if c.Admitted {
			continue
		}
		// Those called before it returned, without those that had surely left.
		possible := earlier(calls, c.Returned+1) - earlier(returns, c.Called-reach+1)
		if int64(possible) < limit.N {
			v.Wrong++
		}
	}
	return v
}

// earlier is how many of the ascending times are before end.
func earlier(times []time.Duration, end time.Duration) int {
	n, _ := slices.BinarySearch(times, end)
	return n
}

// Allowed is how many of the calls an exact limiter admits: the fewest and the most of one that decides
// each when it is called, and one that decides each when it returns.
func Allowed(limit limiter.Limit, list []Call) (least, most int) {
	called, returned := make([]time.Duration, len(list)), make([]time.Duration, len(list))
	for i, c := range list {
		called[i], returned[i] = c.Called, c.Returned
	}
	a, b := exact(limit, called), exact(limit, returned)
	return min(a, b), max(a, b)
}

// exact is how many of the calls that come at those times an exact limiter admits.
func exact(limit limiter.Limit, times []time.Duration) int {
	slices.Sort(times)
	var admitted []time.Duration
	left := 0 // of those admitted have left the window
	for _, now := range times {
		for left < len(admitted) && admitted[left] <= now-limit.Window {
			left++
		}
		if int64(len(admitted)-left) < limit.N {
			admitted = append(admitted, now)
		}
	}
	return len(admitted)
}
