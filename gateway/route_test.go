package gateway

import (
	"net/url"
	"strings"
	"testing"

	"postern/internal/keys"
)

// testRoute is a public route that takes any method.
func testRoute(name, path string, hosts ...string) Route {
	return Route{Name: name, Path: path, Hosts: hosts, Public: true}
}

func testTable(t testing.TB, routes ...Route) *table {
	t.Helper()
	table, err := newTable(&Policy{Routes: routes})
	if err != nil {
		t.Fatalf("newTable: %v", err)
	}
	return table
}

func TestMatch(t *testing.T) {
	table := testTable(t,
		testRoute("all", "/"),
		testRoute("orders", "/orders/"),
		testRoute("orders-exact", "/orders"),
		testRoute("archive", "/orders/archive/"),
		testRoute("report", "/orders/archive/report"),
		testRoute("status", "/status"),
		testRoute("api", "/orders/", "api.example.com", "api.example.org"),
		testRoute("api-v2", "/v2/", "api.example.com"),
		testRoute("six", "/only-six", "2001:db8::1"),
	)
	for _, tt := range []struct{ name, host, path, want string }{
		{"root", "x", "/", "all"},
		{"anything", "x", "/foo/bar", "all"},
		{"exact beats subtree", "x", "/orders", "orders-exact"},
		{"subtree itself", "x", "/orders/", "orders"},
		{"below", "x", "/orders/1/2/3", "orders"},
		{"whole segments", "x", "/ordersheet", "all"},
		{"whole segments deeper", "x", "/ordersheet/1", "all"},
		{"case counts", "x", "/Orders/1", "all"},
		{"longest", "x", "/orders/archive/1", "archive"},
		{"longest without slash", "x", "/orders/archive", "archive"},
		{"exact within a subtree", "x", "/orders/archive/report", "report"},
		{"below an exact path", "x", "/orders/archive/report/1", "archive"},
		{"exact path with a slash", "x", "/status/", "all"},
		{"exact path", "x", "/status", "status"},
		{"host", "api.example.com", "/orders/1", "api"},
		{"host, subtree without slash", "api.example.com", "/orders", "api"},
		{"second host", "api.example.org", "/orders/1", "api"},
		{"host beats a longer path", "api.example.com", "/orders/archive/1", "api"},
		{"host without a path falls back", "api.example.org", "/v2/x", "all"},
		{"host with another path", "api.example.com", "/v2/x", "api-v2"},
		{"IPv6", "2001:db8::1", "/only-six", "six"},
		{"long path", "x", "/orders/" + strings.Repeat("a/", 2000), "orders"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rt := table.match(tt.host, tt.path)
			if rt == nil || rt.Name != tt.want {
				t.Errorf("got %v, want %s", rt, tt.want)
			}
		})
	}
}

func TestMatchNothing(t *testing.T) {
	table := testTable(t, testRoute("api", "/orders/", "api.example.com"), testRoute("one", "/one"))
	for _, tt := range []struct{ host, path string }{
		{"other.example.com", "/orders/1"},
		{"", "/orders/1"},
		{"api.example.com", "/"},
		{"api.example.com", "/order"},
		{"x", "/one/"},
		{"x", "/on"},
		{"x", "/" + strings.Repeat("/", 300)},
	} {
		if rt := table.match(tt.host, tt.path); rt != nil {
			t.Errorf("%s%s: got route %s, want none", tt.host, tt.path, rt.Name)
		}
		if _, x := table.find(&inspected{host: tt.host, path: tt.path, rawPath: tt.path}); x == nil || x.decision.Code != keys.RouteNotFound {
			t.Errorf("%s%s: find says %v, want route_not_found", tt.host, tt.path, x)
		}
	}
}

func TestNewTableRefuses(t *testing.T) {
	private := Route{Name: "r", Path: "/", Scopes: map[string][]keys.Scope{"*": nil}}
	with := func(change func(*Route)) []Route {
		r := private
		r.Accept = []Carrier{{Kind: Bearer}}
		change(&r)
		return []Route{r}
	}
	for _, tt := range []struct {
		name   string
		routes []Route
		want   string
	}{
		{"equal matches", []Route{testRoute("a", "/x/"), testRoute("b", "/x/")}, `same requests as route "a"`},
		{"equal matches of one host", []Route{testRoute("a", "/x", "h"), testRoute("b", "/x", "g", "h")}, `same requests as route "a"`},
		{"same host twice", []Route{testRoute("a", "/x", "h", "h")}, "same requests"},
		{"relative path", []Route{testRoute("a", "x")}, "path"},
		{"empty path", []Route{testRoute("a", "")}, "path"},
		{"dot segment", []Route{testRoute("a", "/x/../y")}, "path"},
		{"escapes", []Route{testRoute("a", "/%41")}, "path"},
		{"capital host", []Route{testRoute("a", "/", "API.example.com")}, "host"},
		{"host with port", []Route{testRoute("a", "/", "api.example.com:80")}, "host"},
		{"no carrier", []Route{private}, "accept is empty"},
		{"no scopes", with(func(r *Route) { r.Scopes = nil }), "scopes are missing"},
		{"odd carrier header", with(func(r *Route) { r.Accept = []Carrier{{Header, "X_Key"}} }), "X_Key"},
		{"taken carrier header", with(func(r *Route) { r.Accept = []Carrier{{Header, "Host"}} }), "Host"},
		{"unnamed query", with(func(r *Route) { r.Accept = []Carrier{{Kind: Query}} }), "query"},
		{"unknown carrier", with(func(r *Route) { r.Accept = []Carrier{{}} }), "unknown"},
		{"any origin with credentials", with(func(r *Route) { r.CORS = &CORS{Origins: []string{"*"}, Credentials: true} }), "credentials"},
		{"no origin", with(func(r *Route) { r.CORS = &CORS{} }), "origins"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newTable(&Policy{Routes: tt.routes})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "route ") {
				t.Errorf("got %v, want an error with %q that names the route", err, tt.want)
			}
		})
	}
}

func TestFindAsksTheRoute(t *testing.T) {
	open := testRoute("open", "/open/")
	open.AllowEncodedSlash, open.WebSocket = true, true
	table := testTable(t, testRoute("all", "/"), testRoute("admin", "/admin/"), open)
	for _, tt := range []struct {
		name, raw string
		websocket bool
		route     string
		code      keys.Code
	}{
		{"plain", "/x", false, "all", keys.Admitted},
		{"encoded slash allowed", "/open/a%2Fb", false, "open", keys.Admitted},
		{"encoded slash not allowed", "/x/a%2Fb", false, "all", keys.BadRequest},
		{"encoded slash chooses the route", "/open%2Fa", false, "open", keys.BadRequest},
		{"parameters within the route", "/admin/a;v=1", false, "admin", keys.Admitted},
		{"parameters hide the route", "/admin;v=1/a", false, "all", keys.BadRequest},
		{"empty parameters hide the route", "/;/admin/a", false, "all", keys.BadRequest},
		{"encoded parameters hide the route", "/admin%3Bv/a", false, "all", keys.BadRequest},
		{"upgrade allowed", "/open/x", true, "open", keys.Admitted},
		{"upgrade not allowed", "/x", true, "all", keys.UpgradeNotAllowed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path, slash, why := decodePath(tt.raw)
			if why != "" {
				t.Fatalf("decodePath: %s", why)
			}
			rt, x := table.find(&inspected{host: "h", path: path, rawPath: tt.raw, encodedSlash: slash, websocket: tt.websocket})
			if rt == nil || rt.Name != tt.route {
				t.Errorf("route: got %v, want %s", rt, tt.route)
			}
			code := keys.Admitted
			if x != nil {
				code = x.decision.Code
			}
			if code != tt.code {
				t.Errorf("code: got %q, want %q", code, tt.code)
			}
		})
	}
}

func TestUpstreamPath(t *testing.T) {
	for _, tt := range []struct {
		name, target, route string
		strip               bool
		raw, want           string
	}{
		{"as it is", "http://u", "/orders/", false, "/orders/1", "/orders/1"},
		{"target with slash", "http://u/", "/orders/", false, "/orders/1", "/orders/1"},
		{"below a base", "http://u/base", "/orders/", false, "/orders/1", "/base/orders/1"},
		{"below a base with slash", "http://u/base/", "/orders/", false, "/orders/1", "/base/orders/1"},
		{"escaped base", "http://u/b%20s/", "/", false, "/a", "/b%20s/a"},
		{"base with encoded slash", "http://u/b%2Fs/", "/", false, "/a", "/b%2Fs/a"},
		{"stripped", "http://u", "/orders/", true, "/orders/1/2", "/1/2"},
		{"stripped to the root", "http://u", "/orders/", true, "/orders/", "/"},
		{"stripped to nothing", "http://u", "/orders/", true, "/orders", "/"},
		{"stripped exact", "http://u/base", "/orders", true, "/orders", "/base/"},
		{"stripped root", "http://u", "/", true, "/orders", "/orders"},
		{"stripped by decoded length", "http://u", "/caf\u00e9/", true, "/c%61f%C3%A9/%41", "/A"},
		{"needless escapes go", "http://u", "/", false, "/%6frders", "/orders"},
		{"missing escapes come", "http://u", "/", false, "/{a}/\u00e9", "/%7Ba%7D/%C3%A9"},
		{"capitals", "http://u", "/", false, "/a%c3%a9", "/a%C3%A9"},
		{"sub-delimiters stay", "http://u", "/", false, "/a!$&'()*+,;=:@b", "/a!$&'()*+,;=:@b"},
		{"encoded slash stays", "http://u", "/a/", true, "/a/b%2fc", "/b%2Fc"},
		{"question mark stays encoded", "http://u", "/", false, "/a%3fb", "/a%3Fb"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u, err := url.Parse(tt.target)
			if err != nil {
				t.Fatal(err)
			}
			path, slash, why := decodePath(tt.raw)
			if why != "" {
				t.Fatalf("decodePath: %s", why)
			}
			rt := &route{Route: Route{Path: tt.route, StripPrefix: tt.strip}}
			out := *u
			out.Path, out.RawPath = rt.upstreamPath(u, &inspected{path: path, rawPath: tt.raw, encodedSlash: slash})
			if got := out.EscapedPath(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
