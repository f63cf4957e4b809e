//go:build realservers

package limiter_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// server is a redis-server of the test's own, on a free port of loopback, without persistence.
type server struct {
	*redis.Client // for the test itself
	addr          string
	args, env     []string
	busPort       int // of a cluster's node
	cmd           *exec.Cmd
}

// freePort returns a port of loopback that nobody listens on.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func startRedis(t testing.TB, args ...string) *server {
	t.Helper()
	s := prepareRedis(t, args...)
	s.start(t)
	return s
}

func splitAddr(addr string) (host, port string) {
	host, port, _ = net.SplitHostPort(addr)
	return host, port
}

// prepareRedis makes a server that is still to be started.
func prepareRedis(t testing.TB, args ...string) *server {
	t.Helper()
	redis.SetLogger(&logging.VoidLogger{}) // it would tell of each try until the server is there
	port := freePort(t)
	s := &server{
		addr: fmt.Sprint("127.0.0.1:", port),
		args: append([]string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir()}, args...),
	}
	s.Client = redis.NewClient(&redis.Options{Addr: s.addr, Protocol: 2, DialerRetries: 1, DisableIdentity: true})
	t.Cleanup(func() { s.kill(); _ = s.Close() })
	return s
}

// start starts it, again after a kill, and waits until it answers.
func (s *server) start(t testing.TB) {
	t.Helper()
	s.cmd = exec.Command("redis-server", s.args...)
	s.cmd.Env = append(os.Environ(), s.env...)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "redis-server answers", func() bool {
		err := s.Ping(context.Background()).Err()
		return err == nil || strings.HasPrefix(err.Error(), "NOAUTH")
	})
}

func (s *server) kill() {
	if s.cmd != nil && s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Signal(syscall.SIGCONT)
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}

func (s *server) pause(t testing.TB)  { t.Helper(); must(t, s.cmd.Process.Signal(syscall.SIGSTOP)) }
func (s *server) resume(t testing.TB) { t.Helper(); must(t, s.cmd.Process.Signal(syscall.SIGCONT)) }

// info returns one line of INFO as a number: of a line with several, the first.
func (s *server) info(t testing.TB, section, name string) float64 {
	t.Helper()
	text, err := s.Info(context.Background(), section).Result()
	must(t, err)
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			value, _, _ = strings.Cut(strings.TrimPrefix(value, "calls="), ",")
			f, err := strconv.ParseFloat(value, 64)
			must(t, err)
			return f
		}
	}
	t.Fatalf("INFO %s has no %s", section, name)
	return 0
}

// cpu is how long Redis has used a processor, in s.
func (s *server) cpu(t testing.TB) float64 {
	t.Helper()
	return s.info(t, "cpu", "used_cpu_user") + s.info(t, "cpu", "used_cpu_sys")
}

// eventually waits until something holds.
func eventually(t testing.TB, d time.Duration, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(d); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v still not: %s", d, what)
		}
	}
}
