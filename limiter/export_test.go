package limiter

import "time"

// ShareOf is how much of n units a gateway has at a time.
func ShareOf(r *Roster, n int64, turn uint64, now time.Time) int64 { return r.at(now).share(n, turn) }
