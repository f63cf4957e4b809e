package admin

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"postern/internal/keys"
)

// cookie is the session that an answer sets.
func (r reply) cookie(t *testing.T) *http.Cookie {
	t.Helper()
	cookies := (&http.Response{Header: r.header}).Cookies()
	if len(cookies) != 1 {
		t.Fatalf("got %d %s with cookies %v, want one", r.status, r.body, cookies)
	}
	return cookies[0]
}

func TestSignInWithAPassword(t *testing.T) {
	w := newTown(t)
	ada := w.invited("ada@example.com", "acme", keys.RoleDeveloper)
	in := w.do("POST", "/v1/session", `{"email":"Ada@example.com","password":"`+goodPassword+`"}`)
	c := in.cookie(t)
	if in.status != 200 || c.Name != "__Host-postern" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 0 || len(c.Value) != 43 {
		t.Errorf("got %d %+v", in.status, c)
	}
	if strings.Contains(string(in.body), c.Value) {
		t.Error("the body holds the cookie")
	}
	who := w.as(c.Value, "GET", "/v1/session", "").object
	user, _ := who["user"].(map[string]any)
	may, _ := who["may"].(map[string]any)
	if user["id"] != string(ada.ID) || user["email"] != "ada@example.com" || who["tenant"] != "acme" || who["token"] != nil || who["expires_at"] == nil || who["confirmed_at"] == nil {
		t.Errorf("got %v", who)
	}
	if g, _ := may["keys.generate"].(map[string]any); g["allowed"] != true {
		t.Errorf("may generate: %v", g)
	}
	if g, _ := may["users.manage"].(map[string]any); g["allowed"] != false || g["reason"] != "role_required" {
		t.Errorf("may manage people: %v", g)
	}

	made := w.as(c.Value, "POST", "/v1/keys", `{"name":"hers"}`)
	owner, _ := made.object["owner"].(map[string]any)
	if made.status != 201 || owner["id"] != string(ada.ID) || owner["type"] != "user" {
		t.Errorf("got %d %s", made.status, made.body)
	}
	confirmed := w.as(c.Value, "POST", "/v1/session/confirm", `{"password":"`+goodPassword+`"}`).cookie(t)
	if confirmed.Value == c.Value || w.as(c.Value, "GET", "/v1/session", "").status != 401 {
		t.Error("confirming kept the session's text")
	}
	again := w.as(confirmed.Value, "POST", "/v1/session", `{"username":"ada@example.com","password":"`+goodPassword+`"}`).cookie(t)
	if again.Value == confirmed.Value || w.as(confirmed.Value, "GET", "/v1/session", "").status != 401 {
		t.Error("signing in kept the session that there was")
	}
	out := w.as(again.Value, "DELETE", "/v1/session", "")
	if gone := out.cookie(t); out.status != 204 || gone.Value != "" || gone.MaxAge >= 0 {
		t.Errorf("sign-out: got %d %+v", out.status, gone)
	}
	wantProblem(t, w.as(again.Value, "GET", "/v1/session", ""), 401, "sign_in_required")
	for _, body := range []string{`{"password":"x"}`, `{"email":"a@b","username":"a@b","password":"x"}`, `{"email":"a@b"}`, `{}`} {
		wantProblem(t, w.do("POST", "/v1/session", body), 422, "validation_failed")
	}
}

func TestSignInIsThrottledOverHTTP(t *testing.T) {
	w := newTown(t)
	w.invited("ada@example.com", "acme")
	wrong := `{"email":"ada@example.com","password":"wrong password 1"}`
	for range 5 {
		wantProblem(t, w.do("POST", "/v1/session", wrong), 401, "sign_in_required")
	}
	r := w.do("POST", "/v1/session", `{"email":"ada@example.com","password":"`+goodPassword+`"}`)
	wantProblem(t, r, 429, "too_many_failures")
	if wait := r.header.Get("Retry-After"); wait != "900" && wait != "899" {
		t.Errorf("Retry-After: got %s, want a quarter of an hour", wait)
	}
	for range maxFailures {
		wantProblem(t, w.do("POST", "/v1/password-resets", `{"code":"wrong","password":"`+goodPassword+`"}`), 401, "sign_in_required")
	}
	wantProblem(t, w.do("POST", "/v1/password-resets", `{"code":"wrong","password":"`+goodPassword+`"}`), 429, "too_many_failures")
}

func TestSessionCarriers(t *testing.T) {
	w := newTown(t, func(o *Options) { o.Hosts = []string{"keys.example.com", "localhost"} })
	text, _ := w.session(w.person("acme", keys.RoleViewer))
	other, _ := w.session(w.person("acme", keys.RoleTenantAdmin))
	token, err := w.registry.CreateToken(t.Context(), keys.LocalActor("test"), keys.NewToken{Name: "x", Roles: []keys.RoleName{keys.RoleOperator}})
	if err != nil {
		t.Fatal(err)
	}
	cookie := sessionCookie + "=" + text
	bearer := "Bearer " + token.Secret.Reveal()
	for _, c := range []struct {
		name    string
		method  string
		path    string
		headers []string
		status  int
		code    string
	}{
		{"a cookie", "GET", "/v1/session", []string{"Cookie", cookie}, 200, ""},
		{"among others", "GET", "/v1/session", []string{"Cookie", "a=b; " + cookie + "; c=d"}, 200, ""},
		{"cookie and token", "GET", "/v1/session", []string{"Cookie", cookie, "Authorization", bearer}, 400, "bad_request"},
		{"dead cookie and token", "GET", "/v1/session", []string{"Cookie", sessionCookie + "=x", "Authorization", bearer}, 400, "bad_request"},
		{"two cookies", "GET", "/v1/session", []string{"Cookie", cookie + "; " + sessionCookie + "=" + other}, 400, "bad_request"},
		{"two headers", "GET", "/v1/session", []string{"Cookie", cookie, "Cookie", sessionCookie + "=" + other}, 400, "bad_request"},
		{"unknown", "GET", "/v1/session", []string{"Cookie", sessionCookie + "=" + strings.Repeat("a", 43)}, 401, "sign_in_required"},
		{"empty", "GET", "/v1/session", []string{"Cookie", sessionCookie + "="}, 401, "sign_in_required"},
		{"another name", "GET", "/v1/session", []string{"Cookie", "postern=" + text}, 401, "sign_in_required"},
		{"as a token", "GET", "/v1/session", []string{"Authorization", "Bearer " + text}, 401, "sign_in_required"},

		{"our name", "GET", "/v1/session", []string{"Cookie", cookie, "Host", "Keys.Example.com:8081"}, 200, ""},
		{"our name with a dot", "GET", "/v1/session", []string{"Cookie", cookie, "Host", "keys.example.com."}, 200, ""},
		{"an address", "GET", "/v1/session", []string{"Cookie", cookie, "Host", "[2001:db8::1]:8081"}, 200, ""},
		{"a rebound name", "GET", "/v1/keys", []string{"Cookie", cookie, "Host", "evil.example"}, 403, "cross_origin"},
		{"a name with ours in it", "GET", "/v1/keys", []string{"Cookie", cookie, "Host", "keys.example.com.evil.example"}, 403, "cross_origin"},
		{"signing in under a rebound name", "POST", "/v1/session", []string{"Host", "evil.example"}, 403, "cross_origin"},
		{"a code under a rebound name", "POST", "/v1/password-resets", []string{"Host", "evil.example"}, 403, "cross_origin"},
		{"a token under any name", "GET", "/v1/keys", []string{"Authorization", bearer, "Host", "evil.example"}, 200, ""},

		{"another site's form", "DELETE", "/v1/session", []string{"Cookie", cookie, "Sec-Fetch-Site", "cross-site"}, 403, "cross_origin"},
		{"a sibling's form", "DELETE", "/v1/session", []string{"Cookie", cookie, "Sec-Fetch-Site", "same-site"}, 403, "cross_origin"},
		{"another origin's form", "DELETE", "/v1/session", []string{"Cookie", cookie, "Origin", "https://evil.example"}, 403, "cross_origin"},
		{"signing in from another site", "POST", "/v1/session", []string{"Origin", "https://evil.example"}, 403, "cross_origin"},
		{"our own page", "DELETE", "/v1/session", []string{"Cookie", cookie, "Sec-Fetch-Site", "same-origin", "Origin", "https://keys.example.com", "Host", "keys.example.com"}, 204, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := ""
			if c.method == "POST" {
				body = `{"email":"a@example.com","code":"x","password":"y"}`
			}
			r := w.do(c.method, c.path, body, c.headers...)
			if c.code != "" {
				wantProblem(t, r, c.status, c.code)
			} else if r.status != c.status {
				t.Errorf("got %d %s, want %d", r.status, r.body, c.status)
			}
		})
	}
}

// TestPeopleLeakNothing looks for every secret in everything that was logged and answered.
func TestPeopleLeakNothing(t *testing.T) {
	var log bytes.Buffer
	w := newTown(t, func(o *Options) {
		o.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	admin, _ := w.session(w.person("acme", keys.RoleTenantAdmin))
	invited := w.as(admin, "POST", "/v1/invitations", `{"email":"ada@example.com","roles":["developer"]}`)
	code, _ := invited.object["code"].(string)
	url, _ := invited.object["url"].(string)
	if invited.status != 201 || len(code) != 43 || url != "https://keys.example.com/#code="+code {
		t.Fatalf("got %d %s", invited.status, invited.body)
	}
	set := w.do("POST", "/v1/password-resets", `{"code":"`+code+`","password":"a canary sings"}`)
	in := w.do("POST", "/v1/session", `{"email":"ada@example.com","password":"a canary sings"}`)
	text := in.cookie(t).Value
	ada, _ := set.object["id"].(string)
	answers := append(set.body, in.body...)
	for _, path := range []string{"/v1/users/" + ada, "/v1/users", "/v1/users/" + ada + "/sessions", "/v1/users/" + ada + "/roles"} {
		answers = append(answers, w.as(admin, "GET", path, "").body...)
	}
	u, err := w.store.User(context.Background(), keys.UserID(ada))
	if err != nil || u.Password == "" {
		t.Fatalf("%+v, %v", u, err)
	}
	entries, err := w.store.AuditEntries(t.Context(), "acme", 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var audit strings.Builder
	for _, e := range entries {
		for _, v := range e.Detail {
			audit.WriteString(v + " ")
		}
	}
	for what, secret := range map[string]string{"code": code, "password": "canary", "session": text, "hash": u.Password} {
		for where, texts := range map[string]string{"log": log.String(), "answers": string(answers), "audit": audit.String()} {
			if strings.Contains(texts, secret) {
				t.Errorf("the %s stands in the %s", what, where)
			}
		}
	}
}

func TestSettingsOverHTTP(t *testing.T) {
	w := newTown(t)
	op, _ := w.session(w.person("", keys.RoleOperator))
	admin, _ := w.session(w.person("acme", keys.RoleTenantAdmin))
	const path = "/v1/tenants/acme/settings"
	first := w.as(op, "PATCH", path, `{"max_keys_per_user":2,"max_keys_per_tenant":"unlimited","max_expiry":"1y","secret_visibility":{"api_key":"revealable"},"name":"optional","keys_enabled":false}`)
	for name, want := range map[string]any{"max_keys_per_user": 2.0, "max_keys_per_tenant": "unlimited", "max_expiry": "1y", "name": "optional", "keys_enabled": false} {
		s, _ := first.object[name].(map[string]any)
		if s["value"] != want || s["source"] != "tenant" || s["may_change"] != true {
			t.Errorf("%s: got %v, want %v", name, s, want)
		}
	}
	back := w.as(op, "PATCH", path, `{"max_keys_per_user":null,"secret_visibility":{"api_key":null},"keys_enabled":null}`, "If-Match", first.header.Get("ETag"))
	for name, want := range map[string]string{"max_keys_per_user": "policy", "secret_visibility": "policy", "keys_enabled": "policy", "max_expiry": "tenant"} {
		if s, _ := back.object[name].(map[string]any); s["source"] != want {
			t.Errorf("%s: got %v, want it from the %s", name, s, want)
		}
	}
	wantProblem(t, w.as(op, "PATCH", path, `{"keys_enabled":true}`, "If-Match", first.header.Get("ETag")), 412, "version_conflict")
	for body, field := range map[string]string{
		`{"max_keys_per_user":1001}`: "max_keys_per_user", `{"max_keys_per_user":0}`: "max_keys_per_user", `{"max_keys_per_user":"many"}`: "max_keys_per_user",
		`{"max_expiry":"soon"}`: "max_expiry", `{"name":"maybe"}`: "name", `{"default_plan":"gold"}`: "default_plan", `{"owner":{"client":"team"}}`: "owner.client",
		`{"contact":"me"}`: "contact",
	} {
		r := w.as(op, "PATCH", path, body)
		wantProblem(t, r, 422, "validation_failed")
		if got := r.fields(); len(got) != 1 || got[0] != field {
			t.Errorf("%s: got fields %v", body, got)
		}
	}
	wantProblem(t, w.as(admin, "PATCH", path, `{"max_keys_per_user":3}`), 403, "permission_denied")
	if r := w.as(admin, "PATCH", path, `{"keys_enabled":false}`); r.status != 200 {
		t.Errorf("what the tenant may change: got %d %s", r.status, r.body)
	}
}

func TestUsersOverHTTP(t *testing.T) {
	w := newTown(t)
	op, _ := w.session(w.person("", keys.RoleOperator))
	made := w.as(op, "POST", "/v1/users", `{"email":"bob@example.com","name":"Bob","tenant":"acme","roles":["developer"]}`)
	path := made.header.Get("Location")
	if made.status != 201 || made.object["tenant"] != "acme" || made.object["password_set"] != false || made.object["key_access"] != true {
		t.Fatalf("got %d %s", made.status, made.body)
	}
	for body, field := range map[string]string{
		`{"email":"bob@example.com"}`: "email", `{"email":"x"}`: "email", `{"email":"x@example.com","tenant":"nowhere"}`: "tenant",
		`{"email":"x@example.com","roles":["develper"]}`: "roles[0]", `{"email":"x@example.com","tenant":"acme","roles":["operator"]}`: "roles[0]",
	} {
		r := w.as(op, "POST", "/v1/users", body)
		wantProblem(t, r, 422, "validation_failed")
		if got := r.fields(); len(got) != 1 || got[0] != field {
			t.Errorf("%s: got fields %v", body, got)
		}
	}
	if r := w.as(op, "POST", "/v1/users", `{"email":"o@example.com","roles":["support"]}`); r.status != 201 || r.object["tenant"] != nil {
		t.Errorf("a role of the provider: got %d %s", r.status, r.body)
	}
	if r := w.as(op, "GET", "/v1/users?tenant=acme&search=BOB", ""); !strings.Contains(string(r.body), "bob@example.com") || strings.Contains(string(r.body), "o@example.com") {
		t.Errorf("search: %s", r.body)
	}
	edited := w.as(op, "PATCH", path, `{"name":null,"disabled":true}`, "If-Match", made.header.Get("ETag"))
	if edited.status != 200 || edited.object["name"] != "" || edited.object["disabled"] != true {
		t.Errorf("got %d %s", edited.status, edited.body)
	}
	wantProblem(t, w.as(op, "PATCH", path, `{"disabled":false}`, "If-Match", made.header.Get("ETag")), 412, "version_conflict")
	wantProblem(t, w.as(op, "DELETE", path, "", "If-Match", made.header.Get("ETag")), 412, "version_conflict")
	wantProblem(t, w.as(op, "PATCH", path, `{"password":"another password"}`), 403, "self_only")
	wantProblem(t, w.as(op, "PUT", path+"/roles", `{}`), 422, "validation_failed")
	if r := w.as(op, "PUT", path+"/roles", `{"roles":[]}`); r.status != 200 || string(r.body) == "" {
		t.Errorf("no roles: got %d %s", r.status, r.body)
	}
	if r := w.as(op, "GET", "/v1/roles/tenant_admin", ""); r.object["built_in"] != true || r.object["provider"] != false {
		t.Errorf("got %s", r.body)
	}
	r := w.as(op, "GET", "/v1/roles/develper", "")
	wantProblem(t, r, 404, "not_found")
	if !strings.Contains(string(r.body), "developer") {
		t.Errorf("the nearest role is not named: %s", r.body)
	}
	if r := w.as(op, "DELETE", path, ""); r.status != 204 {
		t.Errorf("got %d %s", r.status, r.body)
	}
	wantProblem(t, w.as(op, "GET", path, ""), 404, "not_found")
}
