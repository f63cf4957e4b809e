package limiter_test

import (
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
	_ "time/tzdata" // the zones of this Go release, whatever the machine has

	"postern/limiter"
)

// hardZones are where days start or end in odd ways: midnights missing or repeated, shifts of half
// an hour, dates left out, a minute past midnight.
var hardZones = []string{
	"America/Santiago", "America/Havana", "Atlantic/Azores", "America/Asuncion", "America/St_Johns", "Asia/Beirut",
	"Asia/Gaza", "Asia/Amman", "Asia/Tehran", "Africa/Cairo", "Africa/Casablanca", "Europe/Dublin", "Pacific/Apia",
	"Pacific/Fakaofo", "Australia/Lord_Howe", "America/Godthab", "Antarctica/Troll", "Antarctica/Casey", "America/Sao_Paulo",
	"Pacific/Chatham", "Asia/Kathmandu", "UTC",
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestCalendarSpans(t *testing.T) {
	for _, c := range []struct {
		name, zone string
		unit       limiter.Unit
		now        string
		start, end string
	}{
		{"plain day", "UTC", limiter.Day, "2026-11-21T10:00:00Z", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"},
		{"first instant", "UTC", limiter.Day, "2026-11-21T00:00:00Z", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"},
		{"last instant", "UTC", limiter.Day, "2026-11-21T23:59:59.999999Z", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"},
		{"plain month", "UTC", limiter.Month, "2024-02-29T10:00:00Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"},
		{"month of December", "Europe/Berlin", limiter.Month, "2026-12-31T22:59:59Z", "2026-11-30T23:00:00Z", "2026-12-31T23:00:00Z"},
		{"before the epoch", "UTC", limiter.Day, "1969-12-31T23:59:59.999999Z", "1969-12-31T00:00:00Z", "1970-01-01T00:00:00Z"},
		{"short day", "Europe/Berlin", limiter.Day, "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
		{"long day", "Europe/Berlin", limiter.Day, "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},
		{"no midnight in Santiago", "America/Santiago", limiter.Day, "2024-09-08T12:00:00Z", "2024-09-08T04:00:00Z", "2024-09-09T03:00:00Z"},
		{"two 23 o'clocks in Santiago", "America/Santiago", limiter.Day, "2024-04-07T03:30:00Z", "2024-04-06T03:00:00Z", "2024-04-07T04:00:00Z"},
		{"no midnight in Havana", "America/Havana", limiter.Day, "2024-03-10T12:00:00Z", "2024-03-10T05:00:00Z", "2024-03-11T04:00:00Z"},
		{"two midnights in Havana", "America/Havana", limiter.Day, "2024-11-03T05:30:00Z", "2024-11-03T04:00:00Z", "2024-11-04T05:00:00Z"},
		{"no midnight on the Azores", "Atlantic/Azores", limiter.Day, "2024-03-31T12:00:00Z", "2024-03-31T01:00:00Z", "2024-04-01T00:00:00Z"},
		{"month without midnight in Asuncion", "America/Asuncion", limiter.Month, "2017-10-05T12:00:00Z", "2017-10-01T04:00:00Z", "2017-11-01T03:00:00Z"},
		{"no midnight in Asuncion", "America/Asuncion", limiter.Day, "2023-10-01T12:00:00Z", "2023-10-01T04:00:00Z", "2023-10-02T03:00:00Z"},
		// At 00:01 on 7 November 2010 St. John's went back to 23:01: the 7th has begun by then.
		{"a minute past midnight", "America/St_Johns", limiter.Day, "2010-11-07T03:00:00Z", "2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z"},
		{"left out in Samoa: before", "Pacific/Apia", limiter.Day, "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"},
		{"left out in Samoa: after", "Pacific/Apia", limiter.Day, "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := clockAt(t, c.now).now()
			got := limiter.NewCalendar(c.unit, zone(t, c.zone)).At(now)
			want := limiter.Span{Start: clockAt(t, c.start).micros.Load(), End: clockAt(t, c.end).micros.Load()}
			if got != want {
				t.Errorf("got %v to %v, want %s to %s", time.UnixMicro(got.Start).UTC(), time.UnixMicro(got.End).UTC(), c.start, c.end)
			}
		})
	}
}

// TestCalendarEveryZone compares 20 years of days and months with what a walk in steps of a
// quarter of an hour finds; since 1972 all offsets are multiples of it.
func TestCalendarEveryZone(t *testing.T) {
	zones := hardZones
	if long() {
		names, err := os.ReadFile("../config/zones.txt") // every name of the tzdata in the Go distribution
		if err != nil {
			t.Fatal(err)
		}
		zones = strings.Fields(string(names))
	}
	for _, name := range zones {
		z := zone(t, name)
		days, months := limiter.NewCalendar(limiter.Day, z), limiter.NewCalendar(limiter.Month, z)
		from := time.Date(2009, 12, 1, 0, 0, 0, 0, time.UTC)
		until := from.AddDate(20, 1, 0)
		var day, month int64 // when the running period began, in µs; 0 until one begins
		newest := dayNumber(from, z)
		for at := from; at.Before(until); at = at.Add(15 * time.Minute) {
			number := dayNumber(at, z)
			if number <= newest {
				continue
			}
			now := at.UnixMicro()
			if day != 0 {
				expect(t, days, name, limiter.Span{Start: day, End: now})
			}
			day = now
			if monthOf(number) != monthOf(newest) {
				if month != 0 {
					expect(t, months, name, limiter.Span{Start: month, End: now})
				}
				month = now
			}
			newest = number
		}
		if t.Failed() {
			return
		}
	}
}

// dayNumber counts local days since 1970.
func dayNumber(at time.Time, zone *time.Location) int64 {
	_, offset := at.In(zone).Zone()
	return (at.Unix() + int64(offset)) / 86400
}

func monthOf(day int64) time.Month { return time.Unix(day*86400, 0).UTC().Month() }

// expect asks for the first and last instants of a period and for some between.
func expect(t *testing.T, c *limiter.Calendar, zone string, want limiter.Span) {
	t.Helper()
	length := want.End - want.Start
	for _, at := range []int64{want.Start, want.End - 1, want.Start + rand.Int64N(length), want.Start + min(length-1, 3600e6)} {
		if got := c.At(time.UnixMicro(at)); got != want {
			t.Errorf("%s at %v: got %v to %v, want %v to %v", zone, time.UnixMicro(at).UTC(), time.UnixMicro(got.Start).UTC(),
				time.UnixMicro(got.End).UTC(), time.UnixMicro(want.Start).UTC(), time.UnixMicro(want.End).UTC())
			return
		}
	}
}

func TestCalendarConcurrent(t *testing.T) {
	c := limiter.NewCalendar(limiter.Day, zone(t, "America/Havana"))
	start := clockAt(t, "2024-03-01T05:00:00Z").now()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 2000 {
				at := start.Add(time.Duration(k*(i+1)) * time.Hour)
				if s := c.At(at); !s.Contains(at.UnixMicro()) {
					t.Errorf("%v: got %v", at, s)
				}
			}
		})
	}
	wg.Wait()
}

func TestCalendarAllocatesNothing(t *testing.T) {
	c := limiter.NewCalendar(limiter.Month, zone(t, "America/Santiago"))
	at := clockAt(t, "2024-09-08T12:00:00Z").now()
	c.At(at)
	if n := testing.AllocsPerRun(1000, func() { c.At(at) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkCalendarAt(b *testing.B) {
	c := limiter.NewCalendar(limiter.Day, zone(b, "America/Santiago"))
	at := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		c.At(at)
	}
}
