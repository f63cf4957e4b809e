package gateway

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"postern/internal/keys"
)

// everyday is a request as an HTTP client with a key sends it.
func everyday(key string, bearer bool) *http.Request {
	r := &http.Request{
		Method: "GET", RequestURI: "/orders/42?expand=items", URL: &url.URL{Path: "/orders/42", RawQuery: "expand=items"},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: "api.example.com:8080", RemoteAddr: "192.0.2.1:4711",
		Header: http.Header{"User-Agent": {"client/1.0"}, "Accept": {"application/json"}, "Accept-Encoding": {"gzip"}},
	}
	if bearer {
		r.Header["Authorization"] = []string{"Bearer " + key}
	} else {
		r.Header["X-Api-Key"] = []string{key}
	}
	w := new(wire)
	w.heads.Store(1 << 62)
	return r.WithContext(context.WithValue(r.Context(), (*connKey)(nil), w))
}

// decisionParts are the steps that this half of the package adds to every request's cost.
func decisionParts(t testing.TB, r *http.Request, f keys.Format) map[string]func() {
	table := testTable(t, testRoute("all", "/"), testRoute("orders", "/orders/", "api.example.com"))
	carriers, err := newCarriers([]Carrier{{Kind: Bearer}, {Kind: XAPIKey}, {Kind: Basic}, {Kind: ClientHeaders}})
	if err != nil {
		t.Fatal(err)
	}
	in, p := new(inspected), new(presented)
	if x := inspect(r, wireOf(r.Context()), in); x != nil {
		t.Fatalf("inspect: %+v", x)
	}
	need := func(x *refusal) {
		if x != nil {
			t.Fatalf("refused: %+v", x)
		}
	}
	target := &url.URL{Scheme: "http", Host: "u"}
	return map[string]func(){
		"inspect": func() { need(inspect(r, wireOf(r.Context()), in)) },
		"route": func() {
			rt, x := table.find(in)
			need(x)
			rt.upstreamPath(target, in)
		},
		"carrier": func() { need(carriers.find(r, f, p)) },
		"address": func() { clientAddress(r, nil) },
	}
}

// TestGuardDoesNotAllocate: nothing of it on the way of a request that passes.
func TestGuardDoesNotAllocate(t *testing.T) {
	f, key, _ := someTexts(t)
	for name, bearer := range map[string]bool{"bearer": true, "x-api-key": false} {
		for part, run := range decisionParts(t, everyday(key, bearer), f) {
			if n := testing.AllocsPerRun(100, run); n != 0 {
				t.Errorf("%s with %s: %v allocations, want 0", part, name, n)
			}
		}
	}
}

func BenchmarkGuard(b *testing.B) {
	f, key, _ := someTexts(b)
	for part, run := range decisionParts(b, everyday(key, true), f) {
		b.Run(part, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
		})
	}
}

// BenchmarkWire is what following costs per request, which arrives in two reads as it does on a
// kept connection.
func BenchmarkWire(b *testing.B) {
	head := []byte("GET /orders/42?expand=items HTTP/1.1\r\nHost: api.example.com:8080\r\nUser-Agent: client/1.0\r\n" +
		"Accept: application/json\r\nAccept-Encoding: gzip\r\nAuthorization: Bearer pst_live_0123456789ab_01234567890123456789012345678901234567890123456789\r\n\r\n")
	w := new(wire)
	b.ReportAllocs()
	for b.Loop() {
		w.follow(head[:1])
		w.follow(head[1:])
	}
	if w.fault.Load() != nil {
		b.Fatal(*w.fault.Load())
	}
}
