package keys

import (
	"net/url"
	"testing"
)

// TestServerOf: two targets are the same server however they are spelled, as far as that can be known
// without asking anybody.
func TestServerOf(t *testing.T) {
	for _, same := range [][]string{
		{"http://api", "http://API.:80/x", "http://api:80"},
		{"http://localhost:9000", "http://127.0.0.1:9000", "http://127.8.8.8:9000", "https://[::1]:9000", "http://[::ffff:127.0.0.1]:9000",
			"http://0.0.0.0:9000", "http://api.localhost:9000", "http://LOCALHOST.:9000"},
		{"http://10.0.0.5:9", "http://[::ffff:10.0.0.5]:9"},
		{"http://[2001:db8::1]:9", "http://[2001:DB8:0::1]:9"},
	} {
		for _, text := range same {
			first, u := mustParse(t, same[0]), mustParse(t, text)
			if ServerOf(u) != ServerOf(first) {
				t.Errorf("%s is %s, and %s is %s", text, ServerOf(u), first, ServerOf(first))
			}
		}
	}
	for _, other := range []string{"http://127.0.0.1:9001", "http://localhost.example.com:9000", "http://10.0.0.5:9000"} {
		if ServerOf(mustParse(t, other)) == "localhost:9000" {
			t.Errorf("%s is taken for this machine's port 9000", other)
		}
	}
}

func mustParse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
