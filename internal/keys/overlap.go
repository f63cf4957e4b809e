package keys

import (
	"fmt"
	"strings"
	"time"
)

// Overlap is for how long the old secret of a rotated credential goes on working beside the new one.
// The zero value: not at all.
type Overlap struct{ life Lifetime }

// usualOverlap is the one of a rotation that names none.
const usualOverlap = 24 * time.Hour

// ParseOverlap reads 0s, 90m, 24h, 7d, 1mo, a date such as 2027-01-31 or an RFC 3339 time.
func ParseOverlap(s string) (Overlap, error) {
	if unit := strings.TrimLeft(s, "0"); len(unit) < len(s) {
		switch unit {
		case "ms", "s", "m", "h", "d":
			return Overlap{}, nil
		}
	}
	life, err := ParseLifetime(s)
	if err != nil || life.Never() {
		return Overlap{}, fmt.Errorf("read overlap %s: write for how long the old secret goes on working, "+
			"for example 0s, 90m, 24h or 7d, or until when, as in 2027-01-31T18:00:00Z", quote(s))
	}
	return Overlap{life}, nil
}

// end is when the old secret of a rotation at now ends.
func (o *Overlap) end(now time.Time) time.Time {
	switch {
	case o == nil:
		return now.Add(usualOverlap)
	case o.life.Never():
		return now
	}
	return truncated(o.life.End(now))
}
