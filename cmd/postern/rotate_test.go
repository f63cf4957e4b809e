package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// awaitMetric returns when a metric without labels has the value.
func (s *site) awaitMetric(name, value string) {
	s.t.Helper()
	line := regexp.MustCompile("(?m)^" + name + " (.*)$")
	deadline := time.Now().Add(60 * time.Second)
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		resp, err := http.Get("http://" + s.admin + "/metrics")
		if err != nil {
			s.t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			s.t.Fatal(err)
		}
		found := line.FindSubmatch(text)
		if found != nil && string(found[1]) == value {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s is %q, want %s\n%s", name, found, value, s.log)
		}
	}
}

// TestRotation walks through a rotation as an operator does it, with kills in between: every key goes
// on working, each moves when it is used, and the old pepper goes when nothing needs it.
func TestRotation(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer upstream.Close()
	// The client's secret is sealed, the declared key is known by its hash.
	s := newSite(t, mainConfig(upstream.URL, "1000/s")+strings.Replace(declaredKeys, "store: none", "", 1))
	s.start()
	used := s.must("keys", "create", "--name", "used", "--api", "main")
	idle := s.must("keys", "create", "--name", "idle", "--api", "main")
	late := s.must("keys", "create", "--name", "late", "--api", "main")
	r := &running{t: t, admin: "http://" + s.admin, token: s.must("tokens", "create", "--role", "operator", "--name", "maker")}
	if err := r.tryAPI("/v1/keys", `{"kind":"client","name":"client","apis":["main"]}`, nil); err != nil {
		t.Fatal(err)
	}
	pepper, err := os.ReadFile(s.path("pepper"))
	if err != nil {
		t.Fatal(err)
	}

	s.must("secrets", "rotate") // beside the running gateway
	if next, err := os.ReadFile(s.path("pepper")); err != nil || !strings.HasPrefix(string(next), string(pepper)) || strings.Count(string(next), "\n") != 2 {
		t.Fatalf("the pepper file has not just one more line: %d lines, %v", strings.Count(string(next), "\n"), err)
	}
	if info, err := os.Stat(s.path("pepper")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the pepper file has mode %v, %v", info.Mode(), err)
	}
	if _, messages, err := s.try("secrets", "rotate"); err == nil || !strings.Contains(messages, "not in force yet") {
		t.Errorf("a second rotation before the first is in force: got %v, %s", err, messages)
	}
	// What an offline command writes now must work with the gateway that does not know the new pepper.
	token := s.must("tokens", "create", "--role", "operator", "--name", "between")
	if status := s.adminStatus(token); status != http.StatusOK {
		t.Errorf("a token made between rotation and restart: got %d, want 200", status)
	}

	s.kill()
	s.start()
	s.awaitMetric("postern_secrets_on_old_pepper", "4") // used, idle, late, client: the declared one moved at once
	for _, key := range []string{used, declaredText} {
		if got := s.call(key); got != http.StatusOK {
			t.Errorf("after the rotation: got %d, want 200", got)
		}
	}
	s.awaitMetric("postern_secrets_on_old_pepper", "3")
	if got := s.call(used); got != http.StatusOK {
		t.Errorf("after its secret moved: got %d, want 200", got)
	}
	awaitLog(t, s.log, "nothing is sealed with old secrets any more")
	if status := s.adminStatus(token); status != http.StatusOK {
		t.Errorf("a token of the old pepper: got %d, want 200", status)
	}
	if out, messages, err := s.try("secrets", "rotate", "--finish"); err == nil || !strings.Contains(messages, "3 keys") || out != "" {
		t.Errorf("finish while keys are left: got %v, %s%s", err, out, messages)
	}
	s.must("audit", "verify")
	if got := s.call(late); got != http.StatusOK {
		t.Errorf("in the last moment: got %d, want 200", got)
	}
	s.stop() // before its secret had the time to move

	lost := strings.Fields(s.must("secrets", "rotate", "--finish", "--force"))
	if len(lost) != 3 || !strings.HasPrefix(lost[0], "app_") || !strings.HasPrefix(lost[1], "key_") || !strings.HasPrefix(lost[2], "tok_") {
		t.Errorf("got %v, want the client, the idle key and maker's token named as lost", lost)
	}
	if out := s.must("secrets", "rotate", "--status", "-o", "json"); !strings.Contains(out, `"keys": []`) || !strings.Contains(out, `"tokens": []`) {
		t.Errorf("after the old pepper was dropped something is still under it:\n%s", out)
	}
	text, err := os.ReadFile(s.path("pepper"))
	if err != nil || strings.Contains(string(text), strings.TrimSpace(strings.TrimPrefix(string(pepper), "1:"))) {
		t.Errorf("the old pepper is still in the file, %v", err)
	}
	s.start()
	for key, want := range map[string]int{used: http.StatusOK, late: http.StatusOK, declaredText: http.StatusOK, idle: http.StatusUnauthorized} {
		if got := s.call(key); got != want {
			t.Errorf("after the old pepper was dropped: got %d, want %d", got, want)
		}
	}
	if status := s.adminStatus(token); status != http.StatusOK {
		t.Errorf("a token that moved: got %d, want 200", status)
	}
	t.Setenv("POSTERN_ADMIN_TOKEN", token)
	t.Setenv("POSTERN_ADMIN_URL", "http://"+s.admin)
	if out := s.must("audit", "verify"); strings.Contains(out, "broken") {
		t.Errorf("the audit trail does not hold any more:\n%s", out)
	}
	if log := s.log.String(); strings.Contains(log, "does not authenticate") {
		t.Errorf("rows were taken for forged:\n%s", log)
	}
	s.stop()

	// The pepper that was thrown away is no pepper of this installation any more.
	if err := os.WriteFile(s.path("pepper"), pepper, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, messages, err := s.try("run"); err == nil || !strings.Contains(messages, "another pepper") {
		t.Errorf("with the old pepper: got %v, %s", err, messages)
	}
}

// adminStatus is what the admin API answers to a token.
func (s *site) adminStatus(token string) int {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+s.admin+"/v1/keys", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}
