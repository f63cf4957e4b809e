package config

import (
	"math"
	"testing"
	"time"

	"postern/internal/keys"
)

func TestParseDuration(t *testing.T) {
	tests := []struct {
		in   string
		want time.Duration // < 0: an error
	}{
		{"250ms", 250 * time.Millisecond}, {"30s", 30 * time.Second}, {"5m", 5 * time.Minute}, {"12h", 12 * time.Hour},
		{"7d", 7 * 24 * time.Hour}, {"0s", 0}, {"30 s", 30 * time.Second},
		{"", -1}, {"30", -1}, {"s", -1}, {"1.5s", -1}, {"-1s", -1}, {"1h30m", -1}, {"5min", -1}, {"5us", -1}, {"1S", -1}, {" 1s", -1}, {"1s ", -1},
		{"106751d", 106751 * 24 * time.Hour}, {"106752d", -1}, {"9223372036854775808ms", -1},
	}
	for _, tt := range tests {
		got, err := parseDuration(tt.in)
		if (err != nil) != (tt.want < 0) || err == nil && got != tt.want {
			t.Errorf("parseDuration(%q) = %v, %v, want %v", tt.in, got, err, tt.want)
		}
	}
}

func TestParseSize(t *testing.T) {
	tests := []struct {
		in   string
		want int64 // < 0: an error
	}{
		{"0B", 0}, {"512B", 512}, {"64KiB", 64 << 10}, {"10MiB", 10 << 20}, {"2GiB", 2 << 30}, {"1TiB", 1 << 40}, {"10 MiB", 10 << 20},
		{"8388607TiB", 8388607 << 40}, {"8388608TiB", -1}, {"9223372036854775807B", math.MaxInt64}, {"9223372036854775808B", -1},
		{"", -1}, {"10", -1}, {"10MB", -1}, {"10mib", -1}, {"10kb", -1}, {"1.5MiB", -1}, {"-1B", -1},
	}
	for _, tt := range tests {
		got, err := parseSize(tt.in)
		if (err != nil) != (tt.want < 0) || err == nil && got != tt.want {
			t.Errorf("parseSize(%q) = %v, %v, want %v", tt.in, got, err, tt.want)
		}
	}
}

func TestNearestUnit(t *testing.T) {
	for in, want := range map[string]string{"MB": "MiB", "mb": "MiB", "M": "MiB", "k": "KiB", "Kb": "KiB", "gib": "GiB", "T": "TiB", "b": "B", "PiB": "", "s": ""} {
		if got := nearestUnit(in); got != want {
			t.Errorf("nearestUnit(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"listen", "limiter", "log", "plans", "policy", "max_keys_per_user", "max_keys_per_tenant"}
	for in, want := range map[string]string{
		"lisen": "listen", "Listen": "listen", "lsiten": "listen", "limit": "limiter", "lgo": "log", "plan": "plans", "maxKeysPerUser": "max_keys_per_user",
		"max-keys-per-usr": "max_keys_per_user", "x": "", "logging": "", "": "", "completely_else": "",
	} {
		if got := keys.Nearest(in, known); got != want {
			t.Errorf("keys.Nearest(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	for in, want := range map[string]bool{
		"a": true, "orders_v2": true, "a_": true, "": false, "A": false, "2a": false, "_a": false, "a__b": false, "a-b": false, "a.b": false, "ä": false, "a\n": false,
	} {
		if got := validName(in); got != want {
			t.Errorf("validName(%q) = %v, want %v", in, got, want)
		}
	}
	for in, want := range map[string]bool{
		"orders.read": true, "a:b-c_d.e9": true, "a__b": true, "": false, "Orders": false, "9a": false, "a b": false, "a/b": false, "a\n": false,
	} {
		if got := validScope(in); got != want {
			t.Errorf("validScope(%q) = %v, want %v", in, got, want)
		}
	}
}

func TestPathsPrint(t *testing.T) {
	got := path{"apis", "orders", "scopes", "orders.read", "[2]", "*"}.String()
	if want := `apis.orders.scopes."orders.read"[2]."*"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
