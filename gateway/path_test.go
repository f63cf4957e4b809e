package gateway

import (
	"net/url"
	"strings"
	"testing"
)

func TestDecodePath(t *testing.T) {
	for _, tt := range []struct {
		name, raw, want string
		slash           bool
		why             string // part of the reason; "" accepts
	}{
		{"root", "/", "/", false, ""},
		{"plain", "/orders/42", "/orders/42", false, ""},
		{"slash at the end", "/orders/", "/orders/", false, ""},
		{"sub-delimiters", "/a!$&'()*+,;=:@b", "/a!$&'()*+,;=:@b", false, ""},
		{"escaped space", "/a%20b", "/a b", false, ""},
		{"escaped letter", "/%6Frders", "/orders", false, ""},
		{"escaped UTF-8", "/caf%C3%A9", "/café", false, ""},
		{"UTF-8 as such", "/café", "/café", false, ""},
		{"braces", "/{id}", "/{id}", false, ""},
		{"dots in a name", "/a..b/.hidden/c.", "/a..b/.hidden/c.", false, ""},
		{"three dots", "/.../x", "/.../x", false, ""},
		{"percent at the end", "/100%25", "/100%", false, ""},
		{"percent before a letter", "/100%25x", "/100%x", false, ""},
		{"encoded question mark", "/a%3Fb", "/a?b", false, ""},
		{"encoded hash", "/a%23b", "/a#b", false, ""},
		{"encoded slash", "/a%2Fb", "/a/b", true, ""},
		{"encoded slash, lower case", "/a%2fb", "/a/b", true, ""},
		{"parameters", "/a;v=1/b;w", "/a;v=1/b;w", false, ""},
		{"Japanese slash in a name", "/Ａ／Ｂ", "/Ａ／Ｂ", false, ""},

		{"empty", "", "", false, "start with a slash"},
		{"no slash", "orders", "", false, "start with a slash"},
		{"star", "*", "", false, "start with a slash"},
		{"4 KiB and one", "/" + strings.Repeat("a", 4096), "", false, "4096"},
		{"dot", "/./a", "", false, "dot segment"},
		{"dot dot", "/a/../b", "", false, "dot segment"},
		{"dot dot at the end", "/a/..", "", false, "dot segment"},
		{"encoded dots", "/a/%2e%2E/b", "", false, "dot segment"},
		{"half-encoded dots", "/a/.%2e/b", "", false, "dot segment"},
		{"dots with parameter", "/a/..;x/b", "", false, "dot segment"},
		{"dot with parameter", "/a/.;/b", "", false, "dot segment"},
		{"dots with encoded semicolon", "/a/..%3Bx/b", "", false, "dot segment"},
		{"dots with space", "/a/..%20/b", "", false, "dot segment"},
		{"dots with ideographic space", "/a/..%E3%80%80/b", "", false, "dot segment"},
		{"fullwidth dots", "/a/．．/b", "", false, "dot segment"},
		{"one dot leaders", "/a/%E2%80%A4%E2%80%A4/b", "", false, "dot segment"},
		{"dots before a fullwidth slash", "/a/..／b", "", false, "dot segment"},
		{"dots after a fullwidth slash", "/a／..", "", false, "dot segment"},
		{"dots between encoded slashes", "/a%2F..%2Fb", "", true, "dot segment"},
		{"backslash", `/a\b`, "", false, "backslash"},
		{"encoded backslash", "/a%5cb", "", false, "backslash"},
		{"two slashes", "/a//b", "", false, "empty segment"},
		{"two slashes first", "//a", "", false, "empty segment"},
		{"two slashes last", "/a//", "", false, "empty segment"},
		{"encoded slash beside a slash", "/a/%2Fb", "", true, "empty segment"},
		{"encoded slashes", "/a%2F%2Fb", "", true, "empty segment"},
		{"NUL", "/a%00b", "", false, "NUL"},
		{"line feed", "/a%0Ab", "", false, "control"},
		{"raw line feed", "/a\nb", "", false, "control"},
		{"delete", "/a%7F", "", false, "control"},
		{"C1 control", "/a%C2%85", "", false, "control"},
		{"raw space", "/a b", "", false, "space"},
		{"hash", "/a#b", "", false, "fragment"},
		{"double encoding", "/a%252e%252e/b", "", false, "twice"},
		{"double encoded slash", "/a%252Fb", "", false, "twice"},
		{"double encoding of any byte", "/a%2541", "", false, "twice"},
		{"unicode escape", "/a%25u002e", "", false, "twice"},
		{"invalid UTF-8", "/a%FFb", "", false, "UTF-8"},
		{"overlong dot", "/%C0%AE%C0%AE/a", "", false, "UTF-8"},
		{"surrogate", "/%ED%A0%80", "", false, "UTF-8"},
		{"percent alone", "/a%", "", false, "percent"},
		{"percent and one digit", "/a%2", "", false, "percent"},
		{"percent and no digits", "/a%zz", "", false, "percent"},
		{"percent u", "/a%u002e", "", false, "percent"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, slash, why := decodePath(tt.raw)
			if tt.why == "" {
				if got != tt.want || slash != tt.slash || why != "" {
					t.Errorf("got %q, %v, %q, want %q, %v", got, slash, why, tt.want, tt.slash)
				}
				return
			}
			if !strings.Contains(why, tt.why) || slash != tt.slash {
				t.Errorf("got %q, %v, %q, want a reason with %q", got, slash, why, tt.why)
			}
		})
	}
}

func TestWithoutParameters(t *testing.T) {
	for _, tt := range []struct{ path, want string }{
		{"/a;x/b", "/a/b"},
		{"/a/b;x=1;y", "/a/b"},
		{"/;x/admin", "/admin"},
		{"/;x", "/"},
		{"/a/;x", "/a/"},
		{"/a;x/", "/a/"},
	} {
		if got := withoutParameters(tt.path); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.path, got, tt.want)
		}
	}
}

// FuzzPath: whatever is accepted has one reading. The path that goes upstream decodes to the one
// that was matched, and nobody's usual way of normalising paths finds dot segments in it.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{
		"/", "/orders/42", "/a%2Fb", "/a/..;x/b", "/%2e%2e/", "/a%252e", "/caf%C3%A9/é", "/a;v=1/b",
		"/a\\..\\b", "/．．/", "/a%20b!$&'()*+,;=:@", "/a%3Fb%23", "/ ..", "/100%25", "/%EF%BC%8E",
	} {
		f.Add(seed)
	}
	target := &url.URL{Scheme: "http", Host: "upstream:9000"}
	based := &url.URL{Scheme: "http", Host: "upstream:9000", Path: "/base/x"}
	f.Fuzz(func(t *testing.T, raw string) {
		path, slash, why := decodePath(raw)
		if why != "" {
			return
		}
		in := &inspected{path: path, rawPath: raw, encodedSlash: slash}
		for _, base := range []*url.URL{target, based} {
			p, rawPath := (&route{Route: Route{Path: "/"}}).upstreamPath(base, in)
			u := *base
			u.Path, u.RawPath = p, rawPath
			sent := u.EscapedPath()
			if got, err := url.PathUnescape(sent); err != nil || got != base.Path+path {
				t.Fatalf("%q: upstream decodes %q to %q (%v), matched was %q", raw, sent, got, err, path)
			}
			if rawPath != "" && sent != rawPath {
				t.Fatalf("%q: net/url does not take %q as an encoding of %q, and sends %q", raw, rawPath, p, sent)
			}
			if strings.Count(strings.ToUpper(sent), "%2F") != strings.Count(strings.ToUpper(raw), "%2F") {
				t.Fatalf("%q: an encoded slash came or went in %q", raw, sent)
			}
			for i := 0; i < len(sent); i++ {
				if c := sent[i]; !isPathByte(c) && c != '%' {
					t.Fatalf("%q: byte %q goes upstream as such", raw, c)
				}
			}
			for name, foreign := range foreignViews(sent) {
				for _, segment := range strings.Split(foreign, "/") {
					if segment == "." || segment == ".." {
						t.Fatalf("%q: %s finds a dot segment in %q", raw, name, sent)
					}
				}
			}
		}
		again, _, why := decodePath(string(encodePath(nil, raw)))
		if again != path || why != "" {
			t.Fatalf("%q: its canonical form is read as %q (%s)", raw, again, why)
		}
	})
}

// foreignViews is a path as other software may normalise it.
func foreignViews(sent string) map[string]string {
	once, _ := url.PathUnescape(sent)
	twice := once
	if s, err := url.PathUnescape(once); err == nil {
		twice = s
	}
	cut := func(s string) string { // servlet containers
		segments := strings.Split(s, "/")
		for i, segment := range segments {
			segments[i], _, _ = strings.Cut(segment, ";")
		}
		return strings.Join(segments, "/")
	}
	slashes := func(s string) string { return strings.ReplaceAll(s, `\`, "/") }
	trimmed := func(s string) string { // Windows
		segments := strings.Split(s, "/")
		for i, segment := range segments {
			segments[i] = strings.TrimRight(segment, " ")
		}
		return strings.Join(segments, "/")
	}
	fitted := strings.NewReplacer("．", ".", "／", "/", "＼", "/", "\u2024", ".", "\u2215", "/", "\u2044", "/")
	return map[string]string{
		"a literal parser":     sent,
		"one decoding":         once,
		"a second decoding":    twice,
		"a servlet container":  cut(sent),
		"decoding, then cut":   cut(once),
		"cut, then decoding":   func() string { s, _ := url.PathUnescape(cut(sent)); return s }(),
		"backslash as slash":   slashes(twice),
		"Windows":              trimmed(slashes(once)),
		"a best-fit mapping":   fitted.Replace(once),
		"a best fit after cut": fitted.Replace(cut(once)),
		"a cut after best fit": cut(fitted.Replace(once)),
	}
}
