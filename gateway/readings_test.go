package gateway

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/keys"
)

func TestReadings(t *testing.T) {
	for _, tt := range []struct{ name, path, reading string }{
		{"dots", "/a/../b", "/b"},
		{"dots above the root", "/../../b", "/b"},
		{"dots at the end", "/a/b/..", "/a/"},
		{"dot", "/a/./b", "/a/b"},
		{"encoded dots", "/a/%2e%2E/b", "/b"},
		{"encoded twice", "/a/%252e%252e/b", "/b"},
		{"encoded three times", "/a/%25252e./b", "/b"},
		{"encoded for IIS", "/a/%u002e%u002e/b", "/b"},
		{"fullwidth for IIS", "/a/%uff0e%uff0e%uff0fb", "/b"},
		{"two slashes", "//a//b", "/a/b"},
		{"dots after two slashes", "/a//../b", "/a/b"},
		{"dots after two slashes, merged first", "/a//../b", "/b"},
		{"encoded slash", "/a%2fb", "/a/b"},
		{"backslash", `/a\..\b`, "/b"},
		{"encoded backslash", "/a%5c..%5cb", "/b"},
		{"parameters", "/a/..;x=y/b", "/b"},
		{"empty parameters", "/;/a;/b", "/a/b"},
		{"NUL", "/a%00/b", "/a"},
		{"line feed", "/a%0a/b", "/a"},
		{"dropped tab", "/a/.%09./b", "/b"},
		{"fragment", "/a#/../b", "/a"},
		{"encoded question mark", "/a%3F/../b", "/a"},
		{"spaces", "/a/..%20/b", "/b"},
		{"dot and space at the end of a name", "/a. /b", "/a/b"},
		{"overlong dots", "/a/%c0%ae%c0%ae/b", "/b"},
		{"overlong slash", "/a%c0%afb", "/a/b"},
		{"overlong slash in three bytes", "/a%e0%80%afb", "/a/b"},
		{"fullwidth dots", "/a/\uff0e\uff0e/b", "/b"},
		{"fullwidth percent", "/a/\uff052e\uff052e/b", "/b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if forms := readings(tt.path); !slices.Contains(forms, tt.reading) || forms[0] != tt.path {
				t.Errorf("%q is read as %q, want %q among them", tt.path, forms, tt.reading)
			}
		})
	}
}

// TestReadingsAreBounded: whatever a path holds, looking at it ends soon.
func TestReadingsAreBounded(t *testing.T) {
	for name, path := range map[string]string{
		"nested encodings":   "/" + strings.Repeat("%25", 1000) + "2e",
		"everything at once": "/" + strings.Repeat(`/..;\%00%2f%252e%u002e#? ./`, 150),
		"32 KiB of slashes":  strings.Repeat("/", 32<<10),
		"32 KiB of dots":     strings.Repeat("/..", 10<<10),
	} {
		begin := time.Now()
		forms := readings(path)
		size := 0
		for _, f := range forms {
			size += len(f)
		}
		if len(forms) > maxReadings || size > maxReadingBytes {
			t.Errorf("%s: %d readings of %d bytes in all", name, len(forms), size)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("%s: took %s", name, took)
		}
	}
}

// observedTable has routes that observe beside ones that enforce, on servers of their own, and one
// that shares its server with an enforcing one.
func observedTable(t testing.TB) *table {
	t.Helper()
	target := func(host string) []*url.URL { return []*url.URL{{Scheme: "http", Host: host}} }
	observe := func(name, path, host string, hosts ...string) Route {
		r := testRoute(name, path, hosts...)
		r.Observe, r.Targets = true, target(host)
		return r
	}
	enforce := func(name, path, host string, hosts ...string) Route {
		r := testRoute(name, path, hosts...)
		r.Targets = target(host)
		return r
	}
	stripping := observe("stripping", "/strip/", "old:80")
	stripping.StripPrefix = true
	based := observe("based", "/based/", "old:80")
	based.Targets = []*url.URL{{Scheme: "http", Host: "old", Path: "/base"}}
	return testTable(t,
		observe("all", "/", "old"), observe("open", "/open/", "OLD:80"), stripping, based,
		enforce("admin", "/admin/", "new"), enforce("nested", "/open/inner/", "new"), enforce("exact", "/secret", "new"),
		observe("shared", "/shared/", "new:80"), enforce("hosted", "/hosted/", "new", "api.example.com"))
}

// oddRequest is a request as the guard hands it to the table; nil when it is refused everywhere, or
// nothing is odd about it.
func oddRequest(target, host string) *inspected {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil
	}
	r := &http.Request{Method: "GET", RequestURI: target, URL: u, Host: host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}}
	if host == "" {
		r.ProtoMinor = 0
	}
	in := new(inspected)
	if x := inspect(r, nil, in); x != nil || in.odd == nil {
		return nil
	}
	return in
}

func TestObservingRoute(t *testing.T) {
	table := observedTable(t)
	for _, tt := range []struct{ name, target, host, want string }{
		{"within one route", "/open/a/../b", "gw", "open"},
		{"from one to another that observes", "/open/../x", "gw", "open"},
		{"above the root", "/../x", "gw", "all"},
		{"two slashes", "//open//x", "gw", "all"},
		{"two slashes that net/http would escape", `//open/"x"`, "gw", ""},
		{"a quote behind one slash", `/open//"x"`, "gw", "open"},
		{"raw bytes", "/open/./\xff", "gw", "open"},
		{"to one that enforces", "/open/../admin/x", "gw", ""},
		{"to one that enforces, encoded", "/open/%2e%2e/admin", "gw", ""},
		{"to one that enforces, encoded twice", "/open/%252e%252e%252fadmin", "gw", ""},
		{"to one that enforces, by a slash", "//admin/x", "gw", ""},
		{"to one that enforces, by a backslash", `/open/..\admin\x`, "gw", ""},
		{"to one that enforces, by parameters", "/open/..;/admin", "gw", ""},
		{"to one that enforces, by a fragment", "/secret#/../open/", "gw", ""},
		{"to one that enforces, by NUL", "/secret%00/x", "gw", ""},
		{"to one that enforces, deeper", "/open//inner/x", "gw", ""},
		{"from one that enforces", "/admin/../open/x", "gw", ""},
		{"inside one that enforces", "/admin//x", "gw", ""},
		{"server shared with one that enforces", "/shared//x", "gw", ""},
		{"from one that shares nothing to one that does", "/open/../shared/x", "gw", ""},
		{"a path that is cut", "/strip/a//b", "gw", ""},
		{"a target with a base path", "/based/../x", "gw", ""},
		{"another host's", "//hosted/x", "gw", "all"},
		{"this host's", "//hosted/x", "api.example.com", ""},
		{"perhaps this host's", "//hosted/x", "", ""},
		{"no host, nothing odd in the path", "/open/x", "", "open"},
		{"no host, perhaps a hosted route", "/hosted/x", "", ""},
		{"a long path", "/open/" + strings.Repeat("x", 8000), "gw", "open"},
		{"query", "/open/x?a=#", "gw", "open"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := oddRequest(tt.target, tt.host)
			if in == nil {
				t.Fatal("it is not odd, or refused everywhere")
			}
			got := ""
			if rt := table.observing(in); rt != nil {
				got = rt.Name
			}
			if got != tt.want {
				t.Errorf("passes by route %q, want %q", got, tt.want)
			}
		})
	}
}

// TestOddInTheRouteOnly: what is found odd only when the route is looked for.
func TestOddInTheRouteOnly(t *testing.T) {
	observing := observedTable(t)
	for _, tt := range []struct{ target, want string }{
		{"/open/a%2Fb", "open"}, {"/open%2Fx", "all"}, {"/open%2Finner/x", ""}, {"/open/x%2F..%2F..%2Fadmin", ""}, {"/open;x/y", "all"}, {"/open/inner;x/y", ""}, {"/admin;x/y", ""},
	} {
		u, err := url.ParseRequestURI(tt.target)
		if err != nil {
			t.Fatal(err)
		}
		in := new(inspected)
		r := &http.Request{Method: "GET", RequestURI: tt.target, URL: u, Host: "gw", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
		if x := inspect(r, nil, in); x != nil {
			t.Fatalf("%s: %+v", tt.target, x)
		}
		if in.odd == nil {
			if _, x := observing.find(in); x == nil || x.decision.Code != keys.BadRequest {
				t.Fatalf("%s: nothing is odd", tt.target)
			}
		}
		got := ""
		if rt := observing.observing(in); rt != nil {
			got = rt.Name
		}
		if got != tt.want {
			t.Errorf("%s passes by route %q, want %q", tt.target, got, tt.want)
		}
	}
}

// FuzzObservedPath: an odd path that passes leads to no route that enforces, whatever other software
// makes of it, and goes upstream byte for byte.
func FuzzObservedPath(f *testing.F) {
	table := observedTable(f)
	for _, seed := range []string{
		"/open/../admin/x", "//admin", "/open/%2e%2e/x", "/open/%252e%252e%252fadmin", `/open/..\admin`, "/open/..;/admin", "/secret%00", "/secret#", "/open/%c0%ae%c0%ae/admin",
		"/open//inner", "/open/a%2Fb", "/open/./\xff", "/x/%u002e%u002e/admin", "/open/.%09./admin", "/open/..%20/admin", "/\uff0e\uff0e/admin", "/open/a;b/../inner",
		"/shared//x", "/open/%2e%2e;%2fadmin", "/open/..%5c..%5cadmin", "/open/..%3b/admin", "/;/admin", "/open/%3b/..%2finner",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		in := oddRequest(raw, "gw")
		if in == nil {
			return
		}
		if rt := table.observing(in); rt == nil {
			return
		}
		var u url.URL
		setRawPath(&u, in.rawPath)
		u.Scheme, u.Host = "http", "old"
		if _, u.RawQuery, u.ForceQuery = strings.Cut(raw, "?"); u.RequestURI() != raw {
			t.Fatalf("%q goes upstream as %q", raw, u.RequestURI())
		}
		for by, once := range foreignViews(in.rawPath) {
			for then, twice := range foreignViews(once) {
				for _, view := range []string{once, twice, path.Clean(once), path.Clean(twice)} {
					if rt := table.match("gw", view); rt != nil && (!rt.Observe || rt.Name == "shared") {
						t.Fatalf("%q is %q for %s, then %s: route %s", raw, view, by, then, rt.Name)
					}
				}
			}
		}
	})
}
