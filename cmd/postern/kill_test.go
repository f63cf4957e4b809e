package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postern/config"
	"postern/internal/keys"
)

// TestKillLosesNothing kills a gateway with SIGKILL while keys are being generated and revoked; what
// was acknowledged is there after the restart, and nothing is half there.
func TestKillLosesNothing(t *testing.T) {
	dir := t.TempDir()
	gatewayAddress, adminAddress := freeAddress(t), freeAddress(t)
	text := fmt.Sprintf("version: 1\nlisten: { gateway: \"%s\", admin: \"%s\" }\ndrain: { delay: 0s }\n", gatewayAddress, adminAddress) +
		mainConfig("http://127.0.0.1:9", "100000/s")
	if err := writeNew(filepath.Join(dir, "gateway.yaml"), []byte(text)); err != nil {
		t.Fatal(err)
	}
	command := func(args ...string) *exec.Cmd {
		c := exec.Command("postern", args...)
		c.Dir = dir
		return c
	}
	if out, err := command("init").CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	token, err := command("tokens", "create", "--role", "operator").Output()
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, gateway: "http://" + gatewayAddress, admin: "http://" + adminAddress, token: strings.TrimSpace(string(token))}

	acknowledged := map[string]string{} // key id → secret
	revoked := map[string]bool{}
	const kills = 3
	for round := range kills + 1 {
		gateway := command("run")
		var messages bytes.Buffer
		gateway.Stderr = &messages
		if err := gateway.Start(); err != nil {
			t.Fatal(err)
		}
		waitUntilReady(t, r.admin, &messages)
		for id, secret := range acknowledged {
			want := http.StatusBadGateway // admitted: nobody listens upstream
			if revoked[id] {
				want = http.StatusUnauthorized
			}
			if resp, text := r.get("/", "X-API-Key", secret); resp.StatusCode != want {
				t.Errorf("round %d: key %s: got %d, want %d: %s", round, id, resp.StatusCode, want, text)
			}
		}
		listed := r.listKeys()
		for id := range acknowledged {
			if _, there := listed[id]; !there {
				t.Errorf("round %d: key %s is not listed", round, id)
			}
		}
		wantWhole(t, filepath.Join(dir, "gateway.yaml"), listed)
		if round == kills {
			if err := gateway.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := gateway.Wait(); err != nil {
				t.Errorf("the last run ended with: %v\n%s", err, &messages)
			}
			break
		}
		var mu sync.Mutex
		var writers sync.WaitGroup
		enough := make(chan struct{}, 1)
		for w := range 4 {
			writers.Go(func() {
				for i := 0; ; i++ {
					var g generated
					if err := r.tryAPI("/v1/keys", fmt.Sprintf(`{"kind":"api_key","name":"k%d-%d","apis":["main"]}`, w, i), &g); err != nil {
						return
					}
					mu.Lock()
					acknowledged[g.ID] = g.Secret
					count := len(acknowledged)
					mu.Unlock()
					if i%3 == 0 {
						// Not answered means not known either way: only an answered revocation is promised.
						if err := r.tryAPI("/v1/keys/"+g.ID+"/revoke", "{}", nil); err != nil {
							mu.Lock()
							delete(acknowledged, g.ID)
							mu.Unlock()
							return
						}
						mu.Lock()
						revoked[g.ID] = true
						mu.Unlock()
					}
					if count >= 40*(round+1) {
						select {
						case enough <- struct{}{}:
						default:
						}
					}
				}
			})
		}
		select {
		case <-enough:
		case <-time.After(60 * time.Second):
			t.Error("the writers were too slow")
		}
		if err := gateway.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = gateway.Wait() // it says that it was killed
		writers.Wait()
	}
	if len(acknowledged) < 100 || len(revoked) == 0 {
		t.Fatalf("only %d keys and %d revocations were acknowledged", len(acknowledged), len(revoked))
	}
}

// listKeys pages through all keys, a few at a time, and returns the status of each. What the pages
// say must be what each key says when it is asked for alone.
func (r *running) listKeys() map[string]string {
	r.t.Helper()
	all := map[string]string{}
	for cursor := ""; ; {
		_, text := r.api(http.MethodGet, "/v1/keys?limit=37&cursor="+url.QueryEscape(cursor), "")
		var page struct {
			Items []key   `json:"items"`
			Next  *string `json:"next"`
		}
		if err := json.Unmarshal([]byte(text), &page); err != nil {
			r.t.Fatalf("list keys: %v: %s", err, text)
		}
		for _, k := range page.Items {
			if _, twice := all[k.ID]; twice {
				r.t.Errorf("key %s is on two pages", k.ID)
			}
			all[k.ID] = k.Status
			var alone key
			if status, text := r.api(http.MethodGet, "/v1/keys/"+k.ID, ""); status != http.StatusOK {
				r.t.Errorf("key %s is listed, but asked for it is %d %s", k.ID, status, text)
			} else if err := json.Unmarshal([]byte(text), &alone); err != nil || alone.Status != k.Status || alone.Preview == "" {
				r.t.Errorf("key %s is listed as %s, but asked for it is %s (%v)", k.ID, k.Status, text, err)
			}
		}
		if page.Next == nil {
			return all
		}
		cursor = *page.Next
	}
}

// wantWhole fails unless the audit chain is unbroken and tells of exactly the keys that are listed:
// each generated once, and revoked once if it is.
func wantWhole(t *testing.T, path string, listed map[string]string) {
	t.Helper()
	cfg, _, err := config.Load(path, config.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	i, err := openInstallation(t.Context(), cfg, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	var last keys.AuditEntry
	for {
		entries, err := i.store.AuditEntries(t.Context(), string(keys.DefaultTenant), last.Seq, 500)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			if !i.vault.AuditIntact(last, &e) {
				t.Errorf("the audit chain is broken at %d", e.Seq)
			}
			last = e
			status := listed[e.Target]
			switch {
			case e.Action == "key.generated" && (status == "active" || status == "revoked"):
				listed[e.Target] = status + " " + e.Action
			case e.Action == "key.revoked" && status == "revoked key.generated":
				listed[e.Target] = "revoked twice told"
			default:
				t.Errorf("audit entry %d: %s of %s, which is %q", e.Seq, e.Action, e.Target, status)
			}
		}
	}
	for id, told := range listed {
		if told != "active key.generated" && told != "revoked twice told" {
			t.Errorf("key %s: the audit chain does not tell how it came to be: %q", id, told)
		}
	}
}

// tryAPI is api for calls that may meet a killed server.
func (r *running) tryAPI(path, body string, out any) error {
	req, err := http.NewRequest(http.MethodPost, r.admin+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s", resp.Status)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

func waitUntilReady(t *testing.T, admin string, messages fmt.Stringer) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		resp, err := http.Get(admin + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("never ready: %v\n%s", err, messages)
		}
	}
}
