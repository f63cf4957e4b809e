package limiter_test

import (
	"strings"
	"testing"
	"time"

	"postern/limiter"
)

func TestParseLimit(t *testing.T) {
	for _, c := range []struct {
		in, normal, label string
		want              limiter.Limit
	}{
		{"2/s", "2/s", "s", limiter.Limit{N: 2, Window: time.Second}},
		{"100/10s", "100/10s", "10s", limiter.Limit{N: 100, Window: 10 * time.Second}},
		{"5/250ms", "5/250ms", "250ms", limiter.Limit{N: 5, Window: 250 * time.Millisecond}},
		{"5/ms", "5/ms", "ms", limiter.Limit{N: 5, Window: time.Millisecond}},
		{"5/1ms", "5/ms", "ms", limiter.Limit{N: 5, Window: time.Millisecond}},
		{"5/1500ms", "5/1500ms", "1500ms", limiter.Limit{N: 5, Window: 1500 * time.Millisecond}},
		{"5/2000ms", "5/2s", "2s", limiter.Limit{N: 5, Window: 2 * time.Second}},
		{"50/min", "50/min", "min", limiter.Limit{N: 50, Window: time.Minute}},
		{"60/60s", "60/min", "min", limiter.Limit{N: 60, Window: time.Minute}},
		{"60/90s", "60/90s", "90s", limiter.Limit{N: 60, Window: 90 * time.Second}},
		{"60/60min", "60/h", "h", limiter.Limit{N: 60, Window: time.Hour}},
		{"1000/24h", "1000/24h", "24h", limiter.Limit{N: 1000, Window: 24 * time.Hour}},
		{"1/8784h", "1/8784h", "8784h", limiter.Limit{N: 1, Window: 366 * 24 * time.Hour}},
		{"1000/day", "1000/day", "day", limiter.Limit{N: 1000, Unit: limiter.Day}},
		{"1000000000000/month", "1000000000000/month", "month", limiter.Limit{N: 1e12, Unit: limiter.Month}},
	} {
		t.Run(c.in, func(t *testing.T) {
			got, err := limiter.ParseLimit(c.in)
			if err != nil || got != c.want {
				t.Fatalf("got %+v, %v, want %+v", got, err, c.want)
			}
			if got.String() != c.normal || got.Label() != c.label {
				t.Errorf("got %s with label %s, want %s with label %s", got, got.Label(), c.normal, c.label)
			}
		})
	}
}

func TestParseLimitRefuses(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", "a number, a slash and a time are needed"},
		{"no slash", "100", "a number, a slash and a time are needed"},
		{"no slash but clear", "2s", "did you mean 2/s?"},
		{"word", "unlimited", "a number, a slash and a time are needed"},
		{"no number", "/s", "the number before the slash is missing"},
		{"zero", "0/s", "the number before the slash must be at least 1"},
		{"zeros", "000/s", "the number before the slash must be at least 1"},
		{"negative", "-1/s", "must be plain digits"},
		{"fraction", "0.5/s", "must be plain digits"},
		{"exponent", "1e3/s", "must be plain digits"},
		{"leading zero", "02/s", "must not start with 0; did you mean 2/s?"},
		{"thousands", "1,000/day", "did you mean 1000/day?"},
		{"underscore", "1_000/day", "did you mean 1000/day?"},
		{"k", "10k/day", "did you mean 10000/day?"},
		{"too large", "1000000000001/s", "must be at most 1000000000000"},
		{"overflow", "99999999999999999999/s", "must be at most 1000000000000"},
		{"no time", "2/", "the time after the slash is missing"},
		{"no unit", "2/10", "the unit after the slash is missing"},
		{"no length", "2/0s", "the number after the slash must be at least 1"},
		{"length with zero", "2/01s", "must not start with 0; did you mean 2/s?"},
		{"too long", "2/8785h", "the window is longer than 366 days"},
		{"far too long", "2/9223372036854775807h", "the window is longer than 366 days"},
		{"length overflows", "2/9223372036854775808ms", "must be at most 9223372036854775807"},
		{"sec", "2/sec", `unknown unit "sec"; did you mean 2/s?`},
		{"seconds", "100/10 seconds", "did you mean 100/10s?"},
		{"upper case", "2/S", "did you mean 2/s?"},
		{"spaces", "2 / s", "did you mean 2/s?"},
		{"per", "2 per second", "did you mean 2/s?"},
		{"m is two things", "50/m", "did you mean 50/min or 50/month?"},
		{"hour", "50/hour", "did you mean 50/h?"},
		{"minutes", "50/5minutes", "did you mean 50/5min?"},
		{"d", "50/d", "did you mean 50/day?"},
		{"several days", "50/2day", "a calendar limit counts one day at a time; did you mean 50/48h?"},
		{"several months", "50/2month", "did you mean 50/1440h?"},
		{"week", "50/week", "did you mean 50/168h?"},
		{"year", "50/year", "did you mean 50/8760h?"},
		{"typing error", "50/mintue", "did you mean 50/min?"},
		{"another", "50/mnoth", "did you mean 50/month?"},
		{"two slashes", "2/s/s", "unknown unit"},
		{"nonsense", "2/\x00\xff", `unknown unit "\x00\xff"`},
		{"long nonsense", "2/" + strings.Repeat("x", 1000), "…"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := limiter.ParseLimit(c.in)
			if err == nil {
				t.Fatalf("got %v, want an error", got)
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "N/[k](ms|s|min|h)") {
				t.Errorf("got %q, want %q and the forms in it", err, c.want)
			}
			if got != (limiter.Limit{}) || len(err.Error()) > 400 {
				t.Errorf("got limit %v and %d bytes of error", got, len(err.Error()))
			}
		})
	}
}

func TestSameWindow(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"60/min", "10/60s", true},
		{"60/min", "60/h", false},
		{"1/24h", "1/day", false},
		{"1/day", "2/day", true},
		{"1/day", "1/month", false},
	} {
		a, b := parse(t, c.a), parse(t, c.b)
		if a.SameWindow(b) != c.want || b.SameWindow(a) != c.want {
			t.Errorf("%s and %s: got %v, want %v", c.a, c.b, !c.want, c.want)
		}
		if (a.Label() == b.Label()) != c.want {
			t.Errorf("%s and %s: labels %s and %s", c.a, c.b, a.Label(), b.Label())
		}
	}
}

func TestResolution(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"1/h":       time.Microsecond,
		"1000/h":    time.Microsecond,
		"1001/h":    3600 * time.Millisecond,
		"1001/ms":   time.Microsecond,
		"20000/s":   time.Millisecond,
		"20000/day": 0,
	} {
		if got := parse(t, in).Resolution(); got != want {
			t.Errorf("%s: got %v, want %v", in, got, want)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name string
		in   limiter.Limit
		want string
	}{
		{"zero", limiter.Limit{}, "limit of 0 units"},
		{"negative", limiter.Limit{N: -1, Window: time.Second}, "limit of -1 units"},
		{"huge", limiter.Limit{N: limiter.MaxUnits + 1, Window: time.Second}, "units"},
		{"no window", limiter.Limit{N: 1}, "window of 0s"},
		{"part of a millisecond", limiter.Limit{N: 1, Window: 1500 * time.Microsecond}, "window of 1.5ms"},
		{"long window", limiter.Limit{N: 1, Window: 1 << 62}, "window"},
		{"calendar with window", limiter.Limit{N: 1, Unit: limiter.Day, Window: time.Hour}, "want none"},
		{"unknown unit", limiter.Limit{N: 1, Unit: 3}, "unit 3"},
		{"unknown unit with window", limiter.Limit{N: 1, Unit: 3, Window: time.Hour}, "unit 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.in.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
			if s := c.in.String() + c.in.Label(); s == "" {
				t.Error("got no text")
			}
		})
	}
}

// FuzzParseLimit: whatever parses is in range and reads back from its normal form; whatever does
// not is explained, with suggestions that parse.
func FuzzParseLimit(f *testing.F) {
	for _, s := range []string{"2/s", "100/10s", "1000/24h", "1000/day", "5/month", "60/60000ms", "2/sec", "1k/d", "2 per minute",
		"", "/", "0/s", "99999999999999999999/s", "1/99999999999999999999h", "1/9223372036854775807min", "1/m", "3/2 weeks", "١/s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := limiter.ParseLimit(s)
		if err != nil {
			_, rest, found := strings.Cut(err.Error(), "; did you mean ")
			if !found {
				return
			}
			guesses, _, _ := strings.Cut(rest, "?; ")
			for guess := range strings.SplitSeq(guesses, " or ") {
				if g, err := limiter.ParseLimit(guess); err != nil || g.String() != guess {
					t.Errorf("%q: suggests %q, which is %v, %v", s, guess, g, err)
				}
			}
			return
		}
		if err := l.Validate(); err != nil {
			t.Errorf("%q: got %+v: %v", s, l, err)
		}
		again, err := limiter.ParseLimit(l.String())
		if err != nil || again != l || len(l.String()) > len(s)+1 {
			t.Errorf("%q: normal form %q reads back as %+v, %v", s, l, again, err)
		}
	})
}
