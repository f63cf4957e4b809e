package keys

import (
	"testing"
	"time"
)

func TestLifetime(t *testing.T) {
	created := time.Date(2027, 1, 31, 10, 30, 0, 0, time.UTC)
	cases := map[string]struct {
		end  string // RFC 3339, "" for never
		text string // as String writes it, "" for the same
	}{
		"never":                     {"", ""},
		"90d":                       {"2027-05-01T10:30:00Z", ""},
		"12h":                       {"2027-01-31T22:30:00Z", ""},
		"24h":                       {"2027-02-01T10:30:00Z", "1d"},
		"90m":                       {"2027-01-31T12:00:00Z", ""},
		"120s":                      {"2027-01-31T10:32:00Z", "2m"},
		"1500ms":                    {"2027-01-31T10:30:01.5Z", ""},
		"1mo":                       {"2027-02-28T10:30:00Z", ""},
		"13mo":                      {"2028-02-29T10:30:00Z", ""},
		"3mo":                       {"2027-04-30T10:30:00Z", ""},
		"2mo":                       {"2027-03-31T10:30:00Z", ""},
		"1y":                        {"2028-01-31T10:30:00Z", ""},
		"24mo":                      {"2029-01-31T10:30:00Z", "2y"},
		"1000y":                     {"3027-01-31T10:30:00Z", ""},
		"2027-06-01":                {"2027-06-01T00:00:00Z", ""},
		"2027-06-01T18:00:00+02:00": {"2027-06-01T16:00:00Z", "2027-06-01T16:00:00Z"},
	}
	for text, want := range cases {
		t.Run(text, func(t *testing.T) {
			l, err := ParseLifetime(text)
			if err != nil {
				t.Fatal(err)
			}
			end := l.End(created)
			if end.IsZero() != l.Never() || (want.end == "") != l.Never() {
				t.Fatalf("end %v, never %t", end, l.Never())
			}
			if got := end.Format(time.RFC3339Nano); want.end != "" && got != want.end {
				t.Errorf("end %s, want %s", got, want.end)
			}
			shown := want.text
			if shown == "" {
				shown = text
			}
			if l.String() != shown {
				t.Errorf("String %q, want %q", l.String(), shown)
			}
			again, err := ParseLifetime(l.String())
			if err != nil || !again.End(created).Equal(end) {
				t.Errorf("read back: %v, error %v", again, err)
			}
		})
	}
	if got := (Lifetime{Months: 1, For: time.Hour}).String(); got != "1mo+1h" {
		t.Errorf("both parts: %q", got)
	}
}

func TestLifetimeInLeapFebruary(t *testing.T) {
	l := Lifetime{Months: 12}
	if got, want := l.End(time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC)), time.Date(2029, 2, 28, 0, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestParseLifetimeRefuses(t *testing.T) {
	for _, text := range []string{
		"", "90", "d", "-1d", "+1d", "1.5d", "0d", "0mo", "1 d", "1w", "1D", "1d2h", "never ", "2027-02-30", "2027-13-01",
		"1001y", "12001mo", "100001d", "99999999999999999999d", "9223372036854775807y", "9223372036854775807ms", "tomorrow",
	} {
		if l, err := ParseLifetime(text); err == nil {
			t.Errorf("ParseLifetime(%q) = %v, want an error", text, l)
		}
	}
}

func TestLifetimeAgo(t *testing.T) {
	now := time.Date(2026, 3, 31, 10, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"90d": now.AddDate(0, 0, -90), "12h": now.Add(-12 * time.Hour), "1mo": time.Date(2026, 2, 28, 10, 0, 0, 0, time.UTC), "2y": now.AddDate(-2, 0, 0),
	} {
		l, err := ParseLifetime(text)
		if got, ok := l.Ago(now); err != nil || !ok || !got.Equal(want) {
			t.Errorf("%s ago: got %v, %t, %v; want %v", text, got, ok, err, want)
		}
	}
	for _, l := range []Lifetime{{}, {Until: now}} {
		if got, ok := l.Ago(now); ok {
			t.Errorf("%s ago is %v", l, got)
		}
	}
}
