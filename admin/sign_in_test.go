package admin

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/keys"
)

func TestSignIn(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct {
		name, header string
		status       int
	}{
		{"right", "Bearer " + operatorText, 200},
		{"lower-case scheme", "bearer " + operatorText, 200},
		{"two spaces", "Bearer  " + operatorText, 200},
		{"none", "", 401},
		{"wrong", "Bearer wrong", 401},
		{"scheme alone", "Bearer", 401},
		{"empty token", "Bearer ", 401},
		{"token alone", operatorText, 401},
		{"basic", "Basic b3BlcmF0b3ItdG9rZW46", 401},
		{"prefix of a right one", "Bearer " + operatorText[:5], 401},
		{"right one with more", "Bearer " + operatorText + "x", 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := s.do("GET", "/v1/keys", "", "Authorization", c.header)
			if c.status == 200 {
				if r.status != 200 {
					t.Errorf("got %d %s", r.status, r.body)
				}
				return
			}
			wantProblem(t, r, 401, "sign_in_required")
		})
	}
	t.Run("two headers", func(t *testing.T) {
		r := httptest.NewRequest("GET", "/v1/keys", nil)
		r.Header["Authorization"] = []string{"Bearer " + operatorText, "Bearer " + operatorText}
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		wantProblem(t, read(t, w.Result()), 400, "bad_request")
	})
	t.Run("store down", func(t *testing.T) {
		s.registry.failAuth = fmt.Errorf("read token: %w", keys.ErrStoreUnavailable)
		defer func() { s.registry.failAuth = nil }()
		wantProblem(t, s.do("GET", "/v1/keys", ""), 503, "store_unavailable")
	})
}

// TestPermissionTable walks the route table: each endpoint of the API is closed to a stranger and
// to a token without its permission, before anything of the input is looked at.
func TestPermissionTable(t *testing.T) {
	s := newSite(t)
	srv := s.handler.(*server)
	all := newFake().actors[operatorText].Permissions
	for _, rt := range slices.Concat(srv.keyRoutes(), srv.importRoutes(), srv.auditRoutes()) {
		t.Run(rt.method+" "+rt.path, func(t *testing.T) {
			path := strings.Replace(rt.path, "{id}", "key_000000000001", 1) + "?unknown=1"
			wantProblem(t, s.do(rt.method, path, "broken", "Authorization", ""), 401, "sign_in_required")
			wantProblem(t, s.do(rt.method, path, "broken", "Authorization", "Bearer "+tokenlessText), 403, "permission_denied")

			others := keys.PermissionSet{} // everything but what the row names
			for p := range all {
				others[p] = struct{}{}
			}
			for _, p := range rt.access.anyOf {
				delete(others, p)
			}
			s.registry.actors["others"] = keys.Actor{Permissions: others}
			wantProblem(t, s.do(rt.method, path, "broken", "Authorization", "Bearer others"), 403, "permission_denied")
			for _, p := range rt.access.anyOf {
				s.registry.actors["just"] = keys.Actor{Permissions: keys.PermissionSet{p: {}}}
				if r := s.do(rt.method, path, "", "Authorization", "Bearer just"); r.status == 401 || r.status == 403 {
					t.Errorf("with %s: got %d %s", p, r.status, r.body)
				}
			}
		})
	}
}

func TestRowWithoutAccessIsNotMounted(t *testing.T) {
	row := route{"GET", "/x", "x", everyone(), plain(func(http.ResponseWriter, *http.Request) {}, nil), "X", "X."}
	for name, change := range map[string]func(*route){
		"no access":     func(rt *route) { rt.access = access{} },
		"two accesses":  func(rt *route) { rt.access = access{everyone: true, anyOf: []keys.Permission{keys.KeysRead}} },
		"no handler":    func(rt *route) { rt.mount = nil },
		"no operation":  func(rt *route) { rt.id = "" },
		"no words":      func(rt *route) { rt.doc = "" },
		"needs nothing": func(rt *route) { rt.access = needs() },
	} {
		t.Run(name, func(t *testing.T) {
			s, err := newServer(Options{Health: &fakeHealth{}, Metrics: nilGatherer{}})
			if err != nil {
				t.Fatal(err)
			}
			bad := row
			change(&bad)
			if _, err := mount(s, []route{bad}); err == nil || !strings.Contains(err.Error(), "/x") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestWrongTokensAreThrottled(t *testing.T) {
	s := newSite(t)
	wrong := func() reply { return s.do("GET", "/v1/keys", "", "Authorization", "Bearer wrong") }
	for i := range maxFailures {
		if r := wrong(); r.status != 401 {
			t.Fatalf("try %d: got %d", i+1, r.status)
		}
	}
	s.clock = s.clock.Add(10*time.Second + time.Nanosecond)
	r := wrong()
	wantProblem(t, r, 429, "too_many_failures")
	if got := r.header.Get("Retry-After"); got != "50" {
		t.Errorf("Retry-After: got %s, want 50", got)
	}
	if r := s.do("GET", "/v1/keys", ""); r.status != 200 {
		t.Errorf("a correct token is held up: %d", r.status)
	}
	wantProblem(t, s.do("GET", "/v1/keys", "", "Authorization", ""), 401, "sign_in_required") // nothing was tried
	s.clock = s.clock.Add(50 * time.Second)
	wantProblem(t, wrong(), 401, "sign_in_required")
}

// TestConcurrentRequestsDoNotMix lets two tokens work at once and checks that each answer is his.
func TestConcurrentRequestsDoNotMix(t *testing.T) {
	s := newSite(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	ids := map[string]bool{}
	for worker := range 8 {
		wg.Go(func() {
			token, tenant := operatorText, "default"
			if worker%2 == 1 {
				token, tenant = developerText, "acme"
			}
			for i := range 25 {
				name := fmt.Sprintf("%d-%d", worker, i)
				r := s.do("POST", "/v1/keys", `{"name":"`+name+`"}`, "Authorization", "Bearer "+token)
				if r.status != 201 || r.object["name"] != name || r.object["tenant"] != tenant {
					t.Errorf("%s: got %d %s", name, r.status, r.body)
				}
				wrong := s.do("POST", "/v1/keys", `{"n`+name+`":1}`, "Authorization", "Bearer "+token)
				if got := wrong.fields(); !slices.Equal(got, []string{"n" + name}) {
					t.Errorf("%s: got fields %v", name, got)
				}
				mu.Lock()
				ids[r.header.Get("X-Request-Id")], ids[wrong.header.Get("X-Request-Id")] = true, true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(ids) != 8*25*2 {
		t.Errorf("got %d request ids for %d requests", len(ids), 8*25*2)
	}
}
