package gateway

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// sentByTransport is what http.Transport puts on the wire for a request; nil when it refuses it.
func sentByTransport(out *http.Request) []byte {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	here, there := net.Pipe()
	sent := make(chan []byte)
	go func() {
		defer cancel() // there is no answer
		var text bytes.Buffer
		for in := bufio.NewReader(there); ; {
			line, err := in.ReadBytes('\n')
			text.Write(line)
			if len(line) == 2 {
				sent <- text.Bytes()
				return
			}
			if err != nil {
				sent <- nil
				return
			}
		}
	}()
	transport := &http.Transport{
		DisableCompression: true,
		DialContext:        func(context.Context, string, string) (net.Conn, error) { return here, nil },
	}
	go func() {
		_, _ = transport.RoundTrip(out.WithContext(ctx))
		_ = here.Close()
	}()
	return <-sent
}

// headDiffers tells how our head of a request differs from http.Transport's; "" if it does not.
func headDiffers(out *http.Request) string {
	var h requestHead
	err := h.write(out)
	want := sentByTransport(out)
	switch {
	case want == nil && err == nil:
		return fmt.Sprintf("wrote %q, which http.Transport refuses", h.text)
	case want != nil && err != nil:
		return fmt.Sprintf("refused with %v what http.Transport writes as %q", err, want)
	case want != nil && !bytes.Equal(h.text, want):
		return fmt.Sprintf("wrote\n%q, http.Transport\n%q", h.text, want)
	}
	return ""
}

func sameHead(t *testing.T, out *http.Request) {
	t.Helper()
	if d := headDiffers(out); d != "" {
		t.Error(d)
	}
}

func TestHeadIsThatOfTransport(t *testing.T) {
	type headers = http.Header
	cases := []struct {
		name, method, target, host string
		header                     headers
	}{
		{"nothing", "GET", "http://up/", "", headers{"User-Agent": {""}}},
		{"agent", "GET", "http://up/", "", headers{"User-Agent": {"curl/8"}}},
		{"agents", "GET", "http://up/", "", headers{"User-Agent": {"a", "b"}}},
		{"blank agent", "GET", "http://up/", "", headers{"User-Agent": {"  "}}},
		{"agent in blanks", "GET", "http://up/", "", headers{"User-Agent": {"\t a "}}},
		{"host", "GET", "http://up:81/", "api.example.com", headers{"User-Agent": {""}}},
		{"host by name", "GET", "http://up/", "bücher.example:80", headers{"User-Agent": {""}}},
		{"bad host", "GET", "http://up/", "a b/c", headers{"User-Agent": {""}}},
		{"zone", "GET", "http://up/", "[fe80::1%eth0]:80", headers{"User-Agent": {""}}},
		{"query", "GET", "http://up/a%20b?x=%zz;y&&", "", headers{"User-Agent": {""}}},
		{"empty query", "GET", "http://up/a?", "", headers{"User-Agent": {""}}},
		{"no path", "GET", "http://up", "", headers{"User-Agent": {""}}},
		{"slashes", "GET", "http://up//a", "", headers{"User-Agent": {""}}},
		{"head", "HEAD", "http://up/", "", headers{"User-Agent": {""}}},
		{"options", "OPTIONS", "http://up/", "", headers{"User-Agent": {""}}},
		{"delete", "DELETE", "http://up/", "", headers{"User-Agent": {""}}},
		{"post", "POST", "http://up/", "", headers{"User-Agent": {""}}},
		{"put", "PUT", "http://up/", "", headers{"User-Agent": {"a"}, "Accept": {"b"}}},
		{"patch", "PATCH", "http://up/", "", headers{"User-Agent": {""}}},
		{"own", "PROPFIND", "http://up/", "", headers{"User-Agent": {""}}},
		{"bad method", "GET /x", "http://up/", "", headers{"User-Agent": {""}}},
		{"sorted", "GET", "http://up/", "", headers{"User-Agent": {""}, "B": {"1", "2"}, "A": {"3"}, "a": {"4"}, "A-B": {"5"}, "Aa": {""}}},
		{"trimmed", "GET", "http://up/", "", headers{"User-Agent": {""}, "A": {" b\t", "c"}}},
		{"none", "GET", "http://up/", "", headers{"User-Agent": {""}, "A": {}, "B": nil}},
		{"framing", "GET", "http://up/", "", headers{"User-Agent": {""}, "Content-Length": {"5"}, "Transfer-Encoding": {"chunked"}, "Trailer": {"X"}, "Host": {"evil"}}},
		{"line feed", "GET", "http://up/", "", headers{"User-Agent": {""}, "A": {"b\r\nEvil: 1"}}},
		{"NUL", "GET", "http://up/", "", headers{"User-Agent": {""}, "A": {"\x00"}}},
		{"bytes", "GET", "http://up/", "", headers{"User-Agent": {""}, "A": {"\x80\xff"}}},
		{"bad name", "GET", "http://up/", "", headers{"User-Agent": {""}, "A b": {"1"}}},
		{"empty name", "GET", "http://up/", "", headers{"User-Agent": {""}, "": {"1"}}},
		{"bad agent", "GET", "http://up/", "", headers{"User-Agent": {"a\nb"}}},
		{"many", "GET", "http://up/", "", manyFields(60)},
		{"large", "GET", "http://up/", "", headers{"User-Agent": {""}, "Cookie": {strings.Repeat("c", 30<<10)}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			target, err := url.Parse(c.target)
			if err != nil {
				t.Fatal(err)
			}
			sameHead(t, &http.Request{Method: c.method, URL: target, Host: c.host, Header: c.header})
		})
	}
	t.Run("control in the query", func(t *testing.T) {
		sameHead(t, &http.Request{Method: "GET", URL: &url.URL{Scheme: "http", Host: "up", Path: "/", RawQuery: "a\nb"},
			Header: headers{"User-Agent": {""}}})
	})
	t.Run("opaque", func(t *testing.T) {
		sameHead(t, &http.Request{Method: "GET", URL: &url.URL{Scheme: "http", Host: "up", Opaque: "/a/../b"},
			Header: headers{"User-Agent": {""}}})
	})
}

func manyFields(n int) http.Header {
	h := http.Header{"User-Agent": {""}}
	for i := range n {
		h["X-"+string(rune('A'+i%26))+strings.Repeat("z", i)] = []string{"v"}
	}
	return h
}

func TestAnyHeadIsThatOfTransport(t *testing.T) {
	name := rapid.OneOf(rapid.StringMatching(`[A-Z][a-z]{0,3}(-[A-Za-z0-9]{1,3})?`), rapid.StringN(0, 3, -1))
	value := rapid.OneOf(rapid.StringMatching(`[ -~]{0,12}`), rapid.StringN(0, 4, -1))
	rapid.Check(t, func(t *rapid.T) {
		header := http.Header(rapid.MapOfN(name, rapid.SliceOfN(value, 0, 3), 0, 8).Draw(t, "header"))
		header["User-Agent"] = []string{value.Draw(t, "agent")}
		for _, name := range []string{"Connection", "Upgrade", "Expect", "Te", "Trailer"} {
			delete(header, name)
		}
		d := headDiffers(&http.Request{
			Method: rapid.SampledFrom([]string{"GET", "HEAD", "OPTIONS", "DELETE", "POST", "PUT", "PATCH", "X"}).Draw(t, "method"),
			URL:    &url.URL{Scheme: "http", Host: "up", Path: "/" + value.Draw(t, "path"), RawQuery: value.Draw(t, "query")},
			Host:   rapid.SampledFrom([]string{"", "a.example", "a.example:81", "[::1]:80"}).Draw(t, "host"),
			Header: header,
		})
		if d != "" {
			t.Error(d)
		}
	})
}
