//go:build realservers

package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// startNginx runs Debian's nginx on a free port with a configuration of ours and returns its URL. It
// tells in its answers what it received, and serves files from dir. Further locations may be given
// in its own language.
func startNginx(t *testing.T, dir string, locations ...string) string {
	t.Helper()
	address := freeAddress(t)
	conf := fmt.Sprintf(`
daemon off; master_process off; pid %[1]s/nginx.pid; error_log %[1]s/error.log;
events { worker_connections 1024; }
http {
  access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  client_max_body_size 0; keepalive_requests 1000000;
  server {
    listen %[2]s;
    location /files/ { alias %[1]s/files/; }
    %[3]s
    location / { return 200 "method=$request_method uri=$request_uri authorization=$http_authorization key=$http_x_api_key secret=$http_x_client_secret id=$http_x_postern_key_id kind=$http_x_postern_kind owner=$http_x_postern_owner plan=$http_x_postern_plan scopes=$http_x_postern_scopes length=$content_length\n"; }
  }
}
`, dir, address, strings.Join(locations, "\n"))
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "files"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nginx", "-c", path, "-p", dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("start nginx (Debian package nginx-light): %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	url := "http://" + address
	deadline := time.Now().Add(20 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		resp, err := http.Get(url)
		if err == nil {
			resp.Body.Close()
			return url
		}
		if time.Now().After(deadline) {
			t.Fatalf("nginx does not answer: %v", err)
		}
	}
}

func TestNginxDailyQuota(t *testing.T) {
	// The day must not end meanwhile, so it is noon where the plan counts. (Etc/GMT-3 is three hours
	// east.)
	zone := fmt.Sprintf("Etc/GMT%+d", time.Now().UTC().Hour()-12)
	plans := strings.NewReplacer("limits: [LIMITS]", "limits: [200/s, 1000/day], time_zone: "+zone)
	r := startProgram(t, plans.Replace(mainConfig(startNginx(t, t.TempDir()), "LIMITS")))
	key := r.generate(`{"kind":"api_key","name":"daily","apis":["main"]}`)
	admitted := 0
	for admitted < 1000 {
		resp, text := r.get("/", "X-API-Key", key.Secret)
		switch resp.StatusCode {
		case http.StatusOK:
			admitted++
		case http.StatusTooManyRequests:
			// Faster than 200 a second: refused calls are not charged against the day.
			wantStatus(t, resp, text, http.StatusTooManyRequests, "rate_limited")
		default:
			t.Fatalf("call %d: %s %s", admitted+1, resp.Status, text)
		}
	}
	deadline := time.Now().Add(20 * time.Second)
	for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
		resp, text := r.get("/", "X-API-Key", key.Secret)
		if resp.StatusCode == http.StatusOK {
			t.Fatal("call 1001 of the day was admitted")
		}
		// Both limits refuse at first; the day's is the one that frees last, so it names the code.
		wantStatus(t, resp, text, http.StatusTooManyRequests, "quota_exceeded")
		if strings.Contains(text, `"credential-s"`) {
			if time.Now().After(deadline) {
				t.Fatalf("the second's limit still refuses: %s", text)
			}
			continue
		}
		break
	}
}

func TestNginxCarriers(t *testing.T) {
	r := startProgram(t, mainConfig(startNginx(t, t.TempDir()), "1000/s"))
	key := r.generate(`{"kind":"api_key","name":"k","scopes":["main.read"]}`)
	app := r.generate(`{"kind":"client","name":"a","apis":["main"]}`)
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(app.ClientID+":"+app.Secret))
	tests := []struct {
		name    string
		method  string
		headers []string
		status  int
		code    string
		saw     []string
	}{
		{"key in its header", "GET", []string{"X-API-Key", key.Secret}, 200, "",
			[]string{"key= ", "id=" + key.ID, "kind=api_key", "owner=tenant:default", "plan=standard", "scopes=main.read "}},
		{"key as bearer", "GET", []string{"Authorization", "Bearer " + key.Secret}, 200, "", []string{"authorization= ", "id=" + key.ID}},
		{"read scope does not write", "POST", []string{"X-API-Key", key.Secret}, 403, "insufficient_scope", nil},
		{"client by basic", "POST", []string{"Authorization", basic}, 200, "", []string{"authorization= ", "id=" + app.ClientID, "kind=client"}},
		{"client by headers", "GET", []string{"X-Client-Id", app.ClientID, "X-Client-Secret", app.Secret}, 200, "", []string{"secret= ", "id=" + app.ClientID}},
		{"an end user's own bearer passes", "GET", []string{"X-API-Key", key.Secret, "Authorization", "Bearer user-token"}, 200, "",
			[]string{"authorization=Bearer user-token", "key= ", "id=" + key.ID}},
		{"a claimed identity does not", "GET", []string{"X-API-Key", key.Secret, "X-Postern-Key-Id", "key_forged"}, 200, "", []string{"id=" + key.ID}},
		{"a client's secret is no key", "GET", []string{"X-API-Key", app.Secret}, 401, "invalid_credentials", nil},
		{"two credentials", "GET", []string{"X-API-Key", key.Secret, "Authorization", "Bearer " + key.Secret}, 400, "bad_request", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, text := r.send(tt.method, "/a/b?c=d", tt.headers...)
			wantStatus(t, resp, text, tt.status, tt.code)
			for _, saw := range tt.saw {
				if !strings.Contains(text, saw) {
					t.Errorf("nginx saw %q, want %q in it", text, saw)
				}
			}
			if tt.status == 200 && !strings.Contains(text, "uri=/a/b?c=d") {
				t.Errorf("nginx saw %q, want the path and query unchanged", text)
			}
		})
	}
	if log := r.log.String(); strings.Contains(log, key.Secret) || strings.Contains(log, app.Secret) {
		t.Error("a secret is in the log")
	}
}

// TestNginxCurl calls as most people will.
func TestNginxCurl(t *testing.T) {
	r := startProgram(t, mainConfig(startNginx(t, t.TempDir()), "1000/s"))
	app := r.generate(`{"kind":"client","name":"a","apis":["main"]}`)
	out, err := exec.Command("curl", "-sS", "--fail", "-u", app.ClientID+":"+app.Secret, "-d", "a=b", r.gateway+"/form").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "method=POST uri=/form") {
		t.Errorf("curl: %v\n%s", err, out)
	}
}

// TestNginxLargeBodies streams bodies through in both directions; the gateway's memory must not
// grow with them. POSTERN_LONG=1 takes 1 GiB.
func TestNginxLargeBodies(t *testing.T) {
	size := int64(128 << 20)
	if os.Getenv("POSTERN_LONG") == "1" {
		size = 1 << 30
	}
	dir := t.TempDir()
	// nginx answers by itself before it has read a body; a proxy_pass without buffering takes it whole.
	var received atomic.Int64
	taker := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		n, err := io.Copy(io.Discard, req.Body)
		received.Store(n)
		if err != nil {
			t.Errorf("upload: %v after %d bytes", err, n)
		}
	}))
	defer taker.Close()
	upstream := startNginx(t, dir, "location /upload { proxy_pass "+taker.URL+"; proxy_http_version 1.1; proxy_request_buffering off; }")
	file := filepath.Join(dir, "files", "large")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, size); err != nil {
		t.Fatal(err)
	}
	r := startProgram(t, mainConfig(upstream, "1000/s"))
	key := r.generate(`{"kind":"api_key","name":"k","apis":["main"]}`)
	peak := watchHeap(t)

	req, err := http.NewRequest(http.MethodGet, r.gateway+"/files/large", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", key.Secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if err != nil || n != size {
		t.Fatalf("download: %d bytes of %d, %v", n, size, err)
	}

	req, err = http.NewRequest(http.MethodPut, r.gateway+"/upload", io.LimitReader(rand.Reader, size))
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = size
	req.Header.Set("X-API-Key", key.Secret)
	resp, text := do(t, http.DefaultClient, req)
	wantStatus(t, resp, text, http.StatusOK, "")
	if got := received.Load(); got != size {
		t.Errorf("behind nginx %d bytes arrived, want %d", got, size)
	}
	if got := peak(); got > 64<<20 {
		t.Errorf("heap grew by %d MiB while %d MiB went through, want at most 64", got>>20, size>>20)
	}
}

// watchHeap samples the heap until its result is called, which returns the growth at the peak.
func watchHeap(t *testing.T) func() uint64 {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	base := m.HeapInuse
	var peak atomic.Uint64
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapInuse))
		}
	})
	return func() uint64 {
		close(done)
		wg.Wait()
		if peak.Load() < base {
			return 0
		}
		return peak.Load() - base
	}
}
