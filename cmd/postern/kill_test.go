package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestKillLosesNothing kills a gateway with SIGKILL while keys are being generated and revoked; what
// was acknowledged is there after the restart, and nothing is half there.
func TestKillLosesNothing(t *testing.T) {
	dir := t.TempDir()
	gatewayAddress, adminAddress := freeAddress(t), freeAddress(t)
	config := fmt.Sprintf("version: 1\nlisten: { gateway: \"%s\", admin: \"%s\" }\ndrain: { delay: 0s }\n", gatewayAddress, adminAddress) +
		mainConfig("http://127.0.0.1:9", "100000/s")
	if err := writeNew(filepath.Join(dir, "gateway.yaml"), []byte(config)); err != nil {
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
	for round := range 3 {
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
