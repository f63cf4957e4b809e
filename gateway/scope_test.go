package gateway

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/internal/keys"
)

func TestMethodRule(t *testing.T) {
	read, write := []keys.Scope{"orders.read"}, []keys.Scope{"orders.write"}
	rest := Route{Name: "rest", Path: "/", Scopes: map[string][]keys.Scope{"GET": read, "*": write}}
	listed := Route{Name: "listed", Path: "/", Scopes: map[string][]keys.Scope{"GET": read, "POST": write}}
	free := Route{Name: "free", Path: "/", Scopes: map[string][]keys.Scope{"*": {}}}
	public := Route{Name: "public", Path: "/", Public: true}
	publicGet := Route{Name: "public-get", Path: "/", Public: true, Scopes: map[string][]keys.Scope{"GET": {}}}
	for _, tt := range []struct {
		route  Route
		method string
		need   []keys.Scope
		allow  string // not "": 405 with it
	}{
		{rest, "GET", read, ""},
		{rest, "HEAD", read, ""},
		{rest, "POST", write, ""},
		{rest, "OPTIONS", write, ""},
		{listed, "HEAD", read, ""},
		{listed, "POST", write, ""},
		{listed, "DELETE", nil, "GET, HEAD, POST"},
		{listed, "OPTIONS", nil, "GET, HEAD, POST"},
		{free, "DELETE", []keys.Scope{}, ""},
		{public, "PUT", nil, ""},
		{publicGet, "HEAD", []keys.Scope{}, ""},
		{publicGet, "POST", nil, "GET, HEAD"},
	} {
		t.Run(tt.route.Name+" "+tt.method, func(t *testing.T) {
			tt.route.Accept = []Carrier{{Kind: Bearer}}
			rt := testTable(t, tt.route).all()[0]
			need, x := rt.methodRule(tt.method)
			if tt.allow != "" {
				if x == nil || x.decision.Code != keys.MethodNotAllowed || x.allow != tt.allow {
					t.Errorf("got %+v, want 405 with Allow: %s", x, tt.allow)
				}
				return
			}
			if x != nil || !slices.Equal(need, tt.need) {
				t.Errorf("got %v, %+v, want %v", need, x, tt.need)
			}
		})
	}
}

func TestAuthorize(t *testing.T) {
	rights := newFakeDirectory().by[goodKey].Rights() // API orders with orders.read and orders.write
	for _, tt := range []struct {
		name   string
		api    keys.APIName
		need   []keys.Scope
		lacks  []keys.Scope
		noAPI  keys.APIName
		detail string
	}{
		{"nothing needed", "", nil, nil, "", ""},
		{"API held", "orders", nil, nil, "", ""},
		{"all scopes held", "orders", []keys.Scope{"orders.read", "orders.write"}, nil, "", ""},
		{"one missing", "", []keys.Scope{"orders.read", "bills.read"}, []keys.Scope{"bills.read"}, "",
			"The credential lacks the scope bills.read."},
		{"two missing", "", []keys.Scope{"bills.read", "bills.write"}, []keys.Scope{"bills.read", "bills.write"}, "",
			"The credential lacks the scopes bills.read, bills.write."},
		{"API missing", "bills", nil, nil, "bills", "The credential lacks the API bills."},
		{"both missing", "bills", []keys.Scope{"bills.read"}, []keys.Scope{"bills.read"}, "bills",
			"The credential lacks the API bills and the scope bills.read."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := (&route{Route: Route{API: tt.api}}).authorize(tt.need, rights)
			if tt.detail == "" {
				if x != nil {
					t.Fatalf("got %+v, want none", x)
				}
				return
			}
			if x == nil || x.decision.Code != keys.InsufficientScope {
				t.Fatalf("got %+v, want insufficient_scope", x)
			}
			if d := cmp.Diff(tt.lacks, x.scopes); d != "" || x.api != tt.noAPI || x.decision.Detail != tt.detail {
				t.Errorf("got %v, %q, %q; scopes (-want +got): %s", x.scopes, x.api, x.decision.Detail, d)
			}
		})
	}
}
