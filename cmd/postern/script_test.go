package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run the program itself, and call: a small curl, so that the scripts need
// nothing that is not Go.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"postern": main,
		"call":    call,
	})
}

// TestScript runs each documented command as a session that a person could type, see
// testdata/script. Scripts find free ports in $GATEWAY, $ADMIN and $PROBES and an API in $UPSTREAM.
func TestScript(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "upstream saw %s %s key=%q id=%s\n", r.Method, r.URL.Path, r.Header.Get("X-Api-Key"), r.Header.Get("X-Postern-Key-Id"))
	}))
	t.Cleanup(upstream.Close)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("GATEWAY", freeAddress(t))
			e.Setenv("ADMIN", freeAddress(t))
			e.Setenv("UPSTREAM", upstream.URL)
			e.Setenv("POSTERN_LISTEN__GATEWAY", e.Getenv("GATEWAY"))
			e.Setenv("POSTERN_LISTEN__ADMIN", e.Getenv("ADMIN"))
			e.Setenv("PROBES", freeAddress(t))
			e.Setenv("POSTERN_DRAIN__DELAY", "0s")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"waitready": waitReady,
			"setenv":    setEnvFromFile,
			"idof":      idOf,
			"exitcode":  exitCode,
			"match":     match,
			"fill":      fill,
		},
	})
}

// handedOut counts the ports of freeAddress.
var handedOut atomic.Int64

// freeAddress returns an address of loopback that nobody listens on, and that nobody else will be
// given: it is taken from below the ports that the kernel hands out by itself, and only once.
func freeAddress(t *testing.T) string {
	t.Helper()
	const first, count = 12_000, 20_000
	for range count {
		port := first + (int64(os.Getpid())*131+handedOut.Add(1))%count
		address := net.JoinHostPort("127.0.0.1", strconv.FormatInt(port, 10))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no port of loopback is free")
	return ""
}

// waitReady returns when the gateway of the script says that it is ready.
func waitReady(ts *testscript.TestScript, neg bool, args []string) {
	url := "http://" + ts.Getenv("ADMIN") + "/readyz"
	deadline := time.Now().Add(30 * time.Second)
	for tick := time.NewTicker(10 * time.Millisecond); time.Now().Before(deadline); <-tick.C {
		resp, err := http.Get(url)
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
	}
	ts.Fatalf("%s was never ready", url)
}

// setEnvFromFile is "setenv NAME FILE": it puts a file's text, without the last line break, into a
// variable; FILE may be stdout or stderr.
func setEnvFromFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: setenv NAME FILE")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

// idOf is "idof NAME VARIABLE": it finds the row with the name in the table last printed and puts
// the row's id into the variable.
func idOf(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: idof NAME VARIABLE")
	}
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if columns := strings.Fields(line); len(columns) > 1 && columns[1] == args[0] {
			ts.Setenv(args[1], columns[0])
			return
		}
	}
	ts.Fatalf("no row is named %s", args[0])
}

// match is "match VARIABLE REGEXP": it puts what the expression's group finds in the output last
// printed into the variable.
func match(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: match VARIABLE REGEXP")
	}
	found := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) != 2 {
		ts.Fatalf("%s matches nothing", args[1])
	}
	ts.Setenv(args[0], found[1])
}

// exitCode is "exitcode N COMMAND...": the command must end with exactly that code.
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode N COMMAND...")
	}
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("got exit code %d, want %s", got, args[0])
	}
}

// fill is "fill FILE TEMPLATE": it writes the template with the upstream's address in place of
// UPSTREAM.
func fill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fill FILE TEMPLATE")
	}
	text := strings.ReplaceAll(ts.ReadFile(args[1]), "UPSTREAM", ts.Getenv("UPSTREAM"))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// call is "call [-X METHOD] [-H 'Name: value']... [-d BODY] URL": it prints the status, the headers
// and the body, and fails only when there is no answer.
func call() {
	method, body := http.MethodGet, ""
	header := http.Header{}
	args := os.Args[1:]
	for ; len(args) > 2; args = args[2:] {
		switch args[0] {
		case "-X":
			method = args[1]
		case "-d":
			body = args[1]
		case "-H":
			name, value, _ := strings.Cut(args[1], ":")
			header.Add(name, strings.TrimSpace(value))
		default:
			fmt.Fprintf(os.Stderr, "call: unknown option %q\n", args[0])
			os.Exit(2)
		}
	}
	req, err := http.NewRequest(method, args[0], strings.NewReader(body))
	if err != nil {
		fmt.Fprintf(os.Stderr, "call: %v\n", err)
		os.Exit(2)
	}
	req.Header = header
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		fmt.Fprintf(os.Stderr, "call: %v\n", err)
		os.Exit(1)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	_ = resp.Header.Write(os.Stdout)
	fmt.Println()
	_, _ = io.Copy(os.Stdout, resp.Body)
}
