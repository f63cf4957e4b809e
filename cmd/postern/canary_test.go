package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// canaries are the secrets of a run, by what they are.
type canaries map[string]string

// plant remembers a secret in the forms in which it could get out.
func (c canaries) plant(what, secret string) {
	c[what] = secret
	c[what+" in base64"] = base64.StdEncoding.EncodeToString([]byte(secret))
	c[what+" in hex"] = hex.EncodeToString([]byte(secret))
}

// plantText remembers a text of our form: whole, and the part that is secret.
func (c canaries) plantText(what, text string) {
	c.plant(what, text)
	const tail = 49 // secret and checksum
	c.plant(what+" without what names it", text[len(text)-tail:len(text)-6])
}

// look fails the test for each canary in a text.
func (c canaries) look(t *testing.T, where string, text []byte) {
	t.Helper()
	for what, secret := range c {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("%s: holds the %s", where, what)
		}
	}
}

// lookThrough reads every file of the folder, as they are on the disk, but for those that are there
// to hold secrets.
func (c canaries) lookThrough(t *testing.T, when, dir string, except ...string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		for _, name := range except {
			if filepath.Base(path) == name {
				return nil
			}
		}
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil // a running database's own files come and go
		}
		files++
		c.look(t, when+": "+path, text)
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%s: read %d files, %v", when, files, err)
	}
}

// send makes one request and returns the answer with its headers.
func send(t *testing.T, method, url, body string, headers ...string) []byte {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	_ = resp.Header.Write(&b) // a buffer takes everything
	if _, err := io.Copy(&b, resp.Body); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestCanaries plants secrets in a real run and looks for them in everything that it says and stores:
// log, metrics, answers, audit trail, the database's pages with its log, while it runs and after a
// kill, the checkpoint, and a backup without secrets.
func TestCanaries(t *testing.T) {
	const fromVariable = "canary-of-the-upstream-7f3a9b"
	t.Setenv("CANARY_UPSTREAM", fromVariable)
	var arrived atomic.Int64
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Upstream-Token") == fromVariable {
			arrived.Add(1)
		}
	}))
	defer upstream.Close()
	s := newSite(t, fmt.Sprintf(`
log: { level: debug }
credentials: { accept: [bearer, x-api-key, basic, client-headers, "header:X-Old-Key", "query:key"], accept_imported: true }
apis: { main: { scopes: { main.read: Read, main.write: Write } } }
plans: { standard: { limits: [1000/s, 100000/day] } }
policy: { default_plan: standard }
routes:
  main: { match: { path: / }, upstream: { targets: [%q] }, api: main, scopes: { GET: [main.read], "*": [main.write] },
          set_headers: { X-Upstream-Token: env:CANARY_UPSTREAM } }
  dead: { match: { path: /dead }, upstream: { targets: ["http://127.0.0.1:1"] }, api: main, scopes: { "*": [main.write] } }
`, upstream.URL))
	c := canaries{}
	c.plant("header for the upstream", fromVariable)
	for _, name := range []string{"pepper", "keyset.json"} {
		text, err := os.ReadFile(s.path(name))
		if err != nil {
			t.Fatal(err)
		}
		c.plantFile(t, name, text)
	}
	s.start()
	operator := s.must("tokens", "create", "--role", "operator", "--name", "canary")
	c.plantText("admin token", operator)
	key := s.must("keys", "create", "--name", "canary", "--api", "main")
	c.plantText("key", key)
	r := &running{t: t, admin: "http://" + s.admin, token: operator}
	var client generated
	if err := r.tryAPI("/v1/keys", `{"kind":"client","name":"canary client","apis":["main"]}`, &client); err != nil {
		t.Fatal(err)
	}
	c.plantText("client secret", client.Secret)
	const imported = "an-old-key-of-a-customer-5d41402a"
	c.plant("imported key", imported)
	if err := r.tryAPI("/v1/keys/import", fmt.Sprintf(`{"keys":[{"name":"old","text":%q,"apis":["main"]}]}`, imported), nil); err != nil {
		t.Fatal(err)
	}
	unknown := strings.Replace(key, key[20:30], "0123456789", 1)
	c.plantText("wrong key", unknown)
	const typed = "a-password-that-was-typed-into-the-wrong-field"
	c.plant("text of nobody", typed)

	// Right and wrong, in every place that may carry a credential, and in those that may not.
	gateway := "http://" + s.gateway
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(client.ID+":"+client.Secret))
	for _, path := range []string{"/", "/dead", "/a?key=x"} {
		for _, h := range [][]string{
			{"X-API-Key", key}, {"Authorization", "Bearer " + key}, {"Authorization", basic}, {"X-Old-Key", imported},
			{"X-Client-Id", client.ID, "X-Client-Secret", client.Secret}, {"X-API-Key", unknown}, {"X-API-Key", typed},
			{"Authorization", "Bearer " + unknown}, {"Authorization", "Digest " + typed}, {"X-API-Key", key, "Authorization", "Bearer " + key},
			{"X-API-Key", operator}, {"Cookie", "key=" + key},
		} {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodTrace} {
				c.look(t, "an answer of the gateway", send(t, method, gateway+path, "", h...))
			}
		}
	}
	c.look(t, "an answer of the gateway", send(t, http.MethodGet, gateway+"/?key="+key, ""))
	c.look(t, "an answer of the gateway", send(t, http.MethodGet, gateway+"/dead?key="+unknown+"&x="+typed, ""))
	if arrived.Load() == 0 {
		t.Fatal("the upstream never saw its header, so nothing was planted")
	}
	for _, a := range [][2]string{
		{http.MethodGet, "/v1/keys"}, {http.MethodGet, "/v1/keys?search=" + typed}, {http.MethodGet, "/v1/keys?nothing=" + typed}, {http.MethodGet, "/v1/keys/" + client.ID},
		{http.MethodGet, "/v1/tokens"}, {http.MethodGet, "/v1/audit"}, {http.MethodGet, "/v1/audit/export?chain=default"},
		{http.MethodGet, "/v1/audit/export?chain=provider"}, {http.MethodGet, "/metrics"}, {http.MethodGet, "/readyz"}, {http.MethodGet, "/openapi.json"},
	} {
		url := "http://" + s.admin + a[1]
		echoes := strings.Contains(a[1], typed)
		answer := send(t, a[0], url, "", "Authorization", "Bearer "+operator)
		if !echoes {
			c.look(t, a[1], answer)
		}
		c.look(t, a[1]+" of nobody", send(t, a[0], "http://"+s.admin+strings.ReplaceAll(a[1], typed, "x"), "", "Authorization", "Bearer "+unknown))
	}
	for _, body := range []string{
		fmt.Sprintf(`{"name":"x","secret":%q}`, typed), fmt.Sprintf(`{"name":%q`, typed), fmt.Sprintf(`{"keys":[{"name":"y","text":%q,"hash":"sha256:00"}]}`, typed),
	} {
		send(t, http.MethodPost, "http://"+s.admin+"/v1/keys", body, "Authorization", "Bearer "+operator, "Content-Type", "application/json")
		send(t, http.MethodPost, "http://"+s.admin+"/v1/keys/import", body, "Authorization", "Bearer "+operator, "Content-Type", "application/json")
	}
	s.awaitSaved(client.ID)
	s.must("secrets", "rotate")
	for _, name := range []string{"pepper", "keyset.json"} {
		text, err := os.ReadFile(s.path(name))
		if err != nil {
			t.Fatal(err)
		}
		c.plantFile(t, "new "+name, text)
	}
	s.must("backup", "--out", "backup.tar")

	// profile.json is init's token's place, and no canary is that one; the others hold the secrets.
	secrets := []string{"pepper", "keyset.json"}
	c.lookThrough(t, "while it runs", s.dir, secrets...)
	s.kill()
	c.lookThrough(t, "after a kill", s.dir, secrets...)
	s.start()
	if got := s.call(key); got != http.StatusOK {
		t.Errorf("after the restart: got %d, want 200", got)
	}
	awaitLog(t, s.log, "nothing is sealed with old secrets any more")
	s.stop()
	c.lookThrough(t, "after the rotation", s.dir, secrets...)
	c.look(t, "the log", []byte(s.log.String()))

	// The canaries themselves: whoever looked for something else would find nothing either.
	s.must("backup", "--with-secrets", "--out", "whole.tar")
	whole, err := os.ReadFile(s.path("whole.tar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"pepper", "new pepper", "keyset.json", "new keyset.json"} {
		if !bytes.Contains(whole, []byte(c[what])) {
			t.Errorf("the backup with secrets does not hold the %s, so the canary is not what it should be", what)
		}
	}
}

// plantFile remembers what is secret in a pepper or keyset file.
func (c canaries) plantFile(t *testing.T, name string, text []byte) {
	t.Helper()
	if strings.Contains(name, "pepper") {
		lines := strings.Fields(string(text))
		_, secret, _ := strings.Cut(lines[len(lines)-1], ":")
		raw, err := base64.StdEncoding.DecodeString(secret)
		if err != nil {
			t.Fatal(err)
		}
		c[name], c[name+" as bytes"], c[name+" in hex"] = secret, string(raw), hex.EncodeToString(raw)
		return
	}
	var keyset struct {
		Key []struct{ KeyData struct{ Value string } }
	}
	if err := json.Unmarshal(text, &keyset); err != nil || len(keyset.Key) == 0 {
		t.Fatalf("read %s: %v", name, err)
	}
	value := keyset.Key[len(keyset.Key)-1].KeyData.Value
	raw, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		t.Fatal(err)
	}
	c[name], c[name+" as bytes"] = value, string(raw[len(raw)-32:])
}
