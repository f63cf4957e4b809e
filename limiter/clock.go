package limiter

import "time"

// clock reads time on two scales in µs. Windows live on a scale of their own, which starts at the
// wall time of the first reading and then follows the monotonic clock, so that no correction of
// the wall clock opens or stretches a window. Calendar periods are facts about wall time.
//
// The monotonic clock of Linux stands still while a machine is suspended; windows then last longer.
type clock struct {
	now   func() time.Time
	base  time.Time
	micro int64 // base in whole µs since the epoch
	nano  int64 // what is left of base, 0 to 999 ns
}

// instant is one reading. Real time lies between sharp and late, both of the windows' scale:
// looking back from the one and writing down the other errs on the side of the limit.
type instant struct {
	sharp int64 // rounded down
	late  int64 // rounded up
	wall  int64 // since the Unix epoch, rounded down
}

func newClock(now func() time.Time) clock {
	if now == nil {
		now = time.Now
	}
	base := now()
	return clock{now: now, base: base, micro: base.UnixMicro(), nano: int64(base.Nanosecond() % 1000)}
}

func (c *clock) read() instant {
	t := c.now()
	elapsed := int64(t.Sub(c.base)) + c.nano
	micros, rest := elapsed/1000, elapsed%1000
	if rest < 0 {
		micros, rest = micros-1, rest+1000
	}
	at := instant{sharp: c.micro + micros, wall: t.UnixMicro()}
	at.late = at.sharp
	if rest > 0 {
		at.late++
	}
	return at
}
