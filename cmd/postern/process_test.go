package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/config"
)

// site is an installation in a folder of its own, run by real processes, which tests may kill.
type site struct {
	t              *testing.T
	dir            string
	gateway, admin string // addresses, the same for each run
	log            *logBuffer
	process        *exec.Cmd // nil while none runs
}

// newSite makes one of a configuration that is given without version and listen.
func newSite(t *testing.T, yaml string) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), gateway: freeAddress(t), admin: freeAddress(t), log: &logBuffer{}}
	text := fmt.Sprintf("version: 1\nlisten: { gateway: %q, admin: %q }\ndrain: { delay: 0s }\n", s.gateway, s.admin) + yaml
	if err := writeNew(s.path("gateway.yaml"), []byte(text)); err != nil {
		t.Fatal(err)
	}
	s.must("init")
	t.Cleanup(func() {
		if s.process != nil {
			s.kill()
		}
	})
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// try runs a command and returns both its outputs, and how it ended.
func (s *site) try(args ...string) (stdout, stderr string, err error) {
	var out, messages strings.Builder
	c := exec.Command("postern", args...)
	c.Dir, c.Stdout, c.Stderr = s.dir, &out, &messages
	err = c.Run()
	return strings.TrimSpace(out.String()), messages.String(), err
}

// must is try for commands that must succeed; it returns what they print.
func (s *site) must(args ...string) string {
	s.t.Helper()
	out, messages, err := s.try(args...)
	if err != nil {
		s.t.Fatalf("postern %s: %v\n%s", strings.Join(args, " "), err, messages)
	}
	return out
}

// start runs the gateway and returns when it is ready.
func (s *site) start() {
	s.t.Helper()
	s.process = exec.Command("postern", "run")
	s.process.Dir, s.process.Stderr = s.dir, s.log
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	waitUntilReady(s.t, "http://"+s.admin, s.log)
}

// kill ends the gateway as kill -9 does.
func (s *site) kill() {
	_ = s.process.Process.Kill() // it may have ended by itself, which Wait tells
	_ = s.process.Wait()
	s.process = nil
}

// stop ends the gateway as an operator does.
func (s *site) stop() {
	s.t.Helper()
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if err := s.process.Wait(); err != nil {
		s.t.Errorf("the gateway ended with: %v\n%s", err, s.log)
	}
	s.process = nil
}

// call calls the gateway with a key and returns the status; 0 where no answer came.
func (s *site) call(key string) int {
	req, err := http.NewRequest(http.MethodGet, "http://"+s.gateway+"/", nil)
	if err != nil {
		s.t.Error(err)
		return 0
	}
	req.Header.Set("X-API-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// admits calls until something else than want is answered, at most so often, and returns how often
// want was.
func (s *site) admits(key string, want, most int) int {
	for n := range most {
		if s.call(key) != want {
			return n
		}
	}
	return most
}

// paced calls with a key, so many times a second, until enough answers are want, and returns when
// each of these came. Any other answer fails the test.
func (s *site) paced(key string, want, perSecond, enough int) []time.Time {
	var times []time.Time
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for len(times) < enough {
		<-tick.C
		if got := s.call(key); got != want {
			s.t.Fatalf("call %d: got %d, want %d\n%s", len(times), got, want, s.log)
		}
		times = append(times, time.Now())
	}
	return times
}

// open opens what is on the disk, beside a running gateway or without one.
func (s *site) open() (*config.Config, *installation) {
	s.t.Helper()
	cfg, _, err := config.Load(s.path("gateway.yaml"), config.LoadOptions{Env: os.Environ()})
	if err != nil {
		s.t.Fatal(err)
	}
	i, err := openInstallation(s.t.Context(), cfg, os.Environ(), slog.New(slog.DiscardHandler))
	if err != nil {
		s.t.Fatal(err)
	}
	return cfg, i
}
