package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestImportOfManyKeys takes a dump of Kong's through the command line into a running gateway, and then
// every key authenticates with its old text in its old header. POSTERN_LONG=1 takes 100,000 and holds
// the import to a minute.
func TestImportOfManyKeys(t *testing.T) {
	n := 2_000
	if os.Getenv("POSTERN_LONG") == "1" {
		n = 100_000
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("X-Postern-Key-Id"))
	}))
	t.Cleanup(upstream.Close)
	dir := t.TempDir()
	gateway, admin := freeAddress(t), freeAddress(t)
	config := fmt.Sprintf("version: 1\nlisten: { gateway: %q, admin: %q }\ndrain: { delay: 0s }\nlog: { level: warn }\n", gateway, admin) +
		"credentials: { accept: [\"header:apikey\"], accept_imported: true }\n" + mainConfig(upstream.URL, "1000/s")
	texts, dump := kongDump(n)
	for name, text := range map[string]string{"gateway.yaml": config, "kong.yaml": dump} {
		if err := writeNew(filepath.Join(dir, name), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	postern := func(args ...string) *exec.Cmd {
		cmd := exec.Command("postern", args...)
		cmd.Dir = dir
		return cmd
	}
	if out, err := postern("init").CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	run := postern("run")
	var messages bytes.Buffer
	run.Stdout, run.Stderr = &messages, &messages
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := run.Process.Signal(syscall.SIGINT); err != nil {
			t.Error(err)
		}
		if err := run.Wait(); err != nil {
			t.Errorf("run: %v\n%s", err, &messages)
		}
	}()
	waitUntilReady(t, "http://"+admin, &messages)

	begin := time.Now()
	out, err := postern("keys", "import", "kong.yaml", "--map-group", "gold=main").CombinedOutput()
	took := time.Since(begin)
	if err != nil || !strings.Contains(string(out), fmt.Sprintf("%d keys imported.", n)) {
		t.Fatalf("import: %v\n%.2000s", err, out)
	}
	t.Logf("imported %d keys in %v: %.0f/s", n, took.Round(time.Millisecond), float64(n)/took.Seconds())
	if os.Getenv("POSTERN_LONG") == "1" && took > time.Minute {
		t.Errorf("the import took %v, want < 1 m", took)
	}

	begin = time.Now()
	wantAdmitted(t, "http://"+gateway, texts)
	t.Logf("%d keys authenticated in %v", n, time.Since(begin).Round(time.Millisecond))

	if out, err := postern("audit", "verify").CombinedOutput(); err != nil || !strings.Contains(string(out), fmt.Sprint(n)) {
		t.Errorf("audit verify: %v\n%s", err, out)
	}
	wantNowhere(t, dir, texts[:10])
}

// kongDump is a dump of n consumers with a key each.
func kongDump(n int) (texts []string, dump string) {
	var b strings.Builder
	b.WriteString("_format_version: \"3.0\"\nconsumers:\n")
	for i := range n {
		texts = append(texts, rand.Text()+"pA6xLr")
		fmt.Fprintf(&b, "- acls:\n  - group: gold\n  custom_id: crm-%d\n  keyauth_credentials:\n  - created_at: 1701432000\n    key: %s\n  username: customer-%d\n", i, texts[i], i)
	}
	return texts, b.String()
}

// wantAdmitted calls with every key, from several callers at once; each is another key of ours.
func wantAdmitted(t *testing.T, url string, texts []string) {
	t.Helper()
	const callers = 8
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	var failed atomic.Bool
	var ids sync.Map
	var wait sync.WaitGroup
	for range callers {
		wait.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(texts)) && !failed.Load(); i = next.Add(1) - 1 {
				req, err := http.NewRequest(http.MethodGet, url+"/", nil)
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("apikey", texts[i])
				resp, err := client.Do(req)
				if err != nil {
					t.Error(err)
					failed.Store(true)
					return
				}
				id, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Errorf("key %d: got %d %s, %v", i, resp.StatusCode, id, err)
					failed.Store(true)
				}
				if other, taken := ids.LoadOrStore(string(id), i); taken {
					t.Errorf("keys %d and %v are both %s", i, other, id)
				}
			}
		})
	}
	wait.Wait()
}

// wantNowhere checks that no file of an installation holds one of the texts.
func wantNowhere(t *testing.T, dir string, texts []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "data", "*"))
	if err != nil || len(files) < 3 {
		t.Fatalf("got files %v, %v", files, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range texts {
			if bytes.Contains(content, []byte(text)) {
				t.Errorf("%s holds a key", file)
			}
		}
	}
}
