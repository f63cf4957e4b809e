package keyfile

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// parseTime reads an RFC 3339 time, a date, or seconds since 1970 as the other gateways write them,
// with or without a fraction. It says what to write in place of anything else.
func parseTime(s string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UTC(), nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	if seconds, err := strconv.ParseFloat(s, 64); err == nil && seconds >= 1e8 && seconds < 253402300800 { // 1973 to 9999
		whole, part := math.Modf(seconds)
		return time.Unix(int64(whole), int64(math.Round(part*1e6))*1000).UTC(), nil
	}
	return time.Time{}, fmt.Errorf("%s is no time; write for example 2024-03-01T09:30:00Z, 2024-03-01 or seconds since 1970", show(s))
}
