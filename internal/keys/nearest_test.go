package keys

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	names := []string{"orders.read", "orders.write", "bills"}
	for given, want := range map[string]string{
		"orders.raed": "orders.read", "order.write": "orders.write", "bill": "bills", "bilks": "bills",
		"": "", "x": "", "completely different": "", strings.Repeat("a", 100): "",
	} {
		if got := Nearest(given, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", given, got, want)
		}
	}
}

func TestUnknownIsShortAndHarmless(t *testing.T) {
	for given, want := range map[string]string{
		"bils":                    `there is no API "bils"; did you mean "bills"?`,
		"zzz":                     `there is no API "zzz"; there are bills, orders`,
		"\x1b[2J":                 `there is no API "\x1b[2J"; there are bills, orders`,
		strings.Repeat("é", 1000): `there is no API "` + strings.Repeat("é", 32) + `…"; there are bills, orders`,
	} {
		if got := unknown("API", given, []string{"orders", "bills"}); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := unknown("API", "x", nil); got != `there is no API "x"; the configuration declares none` {
		t.Errorf("got %s", got)
	}
}
