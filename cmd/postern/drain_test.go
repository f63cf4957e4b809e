package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// awaitLog returns when the program's log holds the words.
func awaitLog(t *testing.T, log *logBuffer, words string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); !strings.Contains(log.String(), words); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("the log never says %q:\n%s", words, log)
		}
	}
}

// TestSignalDrains sends SIGTERM to the real program while a request runs: the request is answered
// in full, and the program ends with 0.
func TestSignalDrains(t *testing.T) {
	arrived, finish := make(chan struct{}), make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-finish
		_, _ = io.WriteString(w, "finished")
	}))
	defer upstream.Close()
	dir := t.TempDir()
	gateway, admin := freeAddress(t), freeAddress(t)
	text := fmt.Sprintf("version: 1\nlisten: { gateway: \"%s\", admin: \"%s\" }\ndrain: { delay: 0s, timeout: 30s }\n", gateway, admin) +
		mainConfig(upstream.URL, "100/s")
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
	run, log := command("run"), &logBuffer{}
	run.Stderr = log
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = run.Process.Kill() }() // it has ended by then
	waitUntilReady(t, "http://"+admin, log)
	secret, err := command("keys", "create", "--name", "k", "--api", "main").Output()
	if err != nil {
		t.Fatal(err)
	}
	type answer struct {
		status int
		text   string
		err    error
	}
	answered := make(chan answer, 1)
	go func() {
		req, err := http.NewRequest(http.MethodGet, "http://"+gateway+"/", nil)
		if err != nil {
			answered <- answer{err: err}
			return
		}
		req.Header.Set("X-API-Key", strings.TrimSpace(string(secret)))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			answered <- answer{err: err}
			return
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		answered <- answer{resp.StatusCode, string(text), err}
	}()
	<-arrived
	if err := run.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	awaitLog(t, log, "leaving")
	close(finish)
	if got, want := <-answered, (answer{http.StatusOK, "finished", nil}); got != want {
		t.Errorf("the request in flight got %+v, want %+v", got, want)
	}
	if err := run.Wait(); err != nil {
		t.Errorf("the program ended with %v, want exit code 0\n%s", err, log)
	}
}

// TestSecondSignalCutsTheDrain interrupts the demo twice while a request runs: it ends at once, with
// 1, and its folder of secrets is gone all the same.
func TestSecondSignalCutsTheDrain(t *testing.T) {
	dir := t.TempDir()
	run, log := exec.Command("postern", "demo", "--json"), &logBuffer{}
	run.Env = append(os.Environ(), "TMPDIR="+dir)
	run.Stderr = log
	out, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = run.Process.Kill() }() // it has ended by then
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("demo printed nothing: %v\n%s", err, log)
	}
	var facts demoFacts
	if err := json.Unmarshal(line, &facts); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Fatalf("the demo has %d folders in %s, want 1: %v", len(left), dir, err)
	}

	// The answer 100 comes when the gateway, past its decision, asks for the body that never comes.
	conn, err := net.Dial("tcp", strings.TrimPrefix(facts.GatewayURL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "POST /orders/ HTTP/1.1\r\nHost: %s\r\nX-API-Key: %s\r\nContent-Length: 20\r\nExpect: 100-continue\r\n\r\n",
		conn.RemoteAddr(), facts.APIKey); err != nil {
		t.Fatal(err)
	}
	if status, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(status, "HTTP/1.1 100 ") {
		t.Fatalf("got %q, %v, want to be asked for the body", status, err)
	}
	for range 2 {
		if err := run.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		awaitLog(t, log, "leaving")
	}
	_ = run.Wait() // its exit code is judged below
	if code := run.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(log.String(), "a second signal cut the drain short") {
		t.Errorf("got exit code %d, want %d and that a second signal cut the drain short\n%s", code, exitFailed, log)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("the demo left %v behind, %v", left, err)
	}
}
