//go:build realservers

package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestClusterWalkthrough walks through examples/cluster, with the script and real servers.
func TestClusterWalkthrough(t *testing.T) {
	c := newCluster(t)
	c.walk.run()
	c.wantNothingLeft()
}

// TestClusterFailure: a start that fails half-way leaves nothing behind, and what died by itself is no
// trouble to those who end the rest.
func TestClusterFailure(t *testing.T) {
	c := newCluster(t)
	file := filepath.Join(c.walk.dir, "gateway.yaml")
	right, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(right), "6/min", "nonsense", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := c.script("up"); err == nil || !strings.Contains(out, "nonsense") || !strings.Contains(out, "nothing was left behind") {
		t.Errorf("a broken configuration: %v, %s", err, out)
	}
	c.wantNothingLeft()
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port+401)))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := c.script("up"); err == nil || !strings.Contains(out, "is taken") {
		t.Errorf("a taken port: %v, %s", err, out)
	}
	l.Close()
	if out, err := c.script("start", "node1"); err == nil || !strings.Contains(out, "nothing is up") {
		t.Errorf("a start before up: %v, %s", err, out)
	}
	if out, err := c.script("down"); err != nil {
		t.Errorf("down where nothing is up: %v, %s", err, out)
	}
	c.wantNothingLeft()
}

// cluster is examples/cluster on ports of its own.
type cluster struct {
	t    *testing.T
	walk *walk
	port int
	temp string // TMPDIR of the script
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "here") }))
	t.Cleanup(upstream.Close)
	c := &cluster{t: t, port: freePorts(t, 0, 1, 100, 101, 200, 201, 400, 401)}
	var err error
	if c.temp, err = os.MkdirTemp("", "postern-cluster-test-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(c.temp) })
	if err := os.Chmod(c.temp, 0o755); err != nil { // the one who runs PostgreSQL goes through it
		t.Fatal(err)
	}
	at := func(n int) string { return strconv.Itoa(c.port + n) }
	c.walk = newWalk(t, "cluster", "http://127.0.0.1:9000", upstream.URL, "8080", at(0), "8081", at(1), "8180", at(100), "8280", at(200))
	c.walk.env = append(c.walk.env, "PORT="+at(0), "TMPDIR="+c.temp, "POSTERN_LISTEN__ADMIN=127.0.0.1:"+at(1))
	t.Cleanup(func() {
		if out, err := c.script("down"); err != nil {
			t.Errorf("down: %v, %s", err, out)
		}
	})
	return c
}

func (c *cluster) script(args ...string) (string, error) {
	cmd := exec.Command("./cluster.sh", args...)
	cmd.Dir, cmd.Env = c.walk.dir, c.walk.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// wantNothingLeft looks for files and for processes that listen.
func (c *cluster) wantNothingLeft() {
	c.t.Helper()
	if _, err := os.Stat(filepath.Join(c.walk.dir, "run")); !os.IsNotExist(err) {
		c.t.Errorf("the folder run is left: %v", err)
	}
	if left, err := os.ReadDir(c.temp); err != nil || len(left) > 0 {
		c.t.Errorf("left in TMPDIR: %v, %v", left, err)
	}
	for _, n := range []int{0, 1, 100, 101, 200, 201, 400, 401} {
		if conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port+n))); err == nil {
			conn.Close()
			c.t.Errorf("something still listens on port %d", c.port+n)
		}
	}
}

// freePorts returns a port that is free, as are those at the given distances from it.
func freePorts(t *testing.T, distances ...int) int {
	t.Helper()
	for base := 20000 + os.Getpid()%8000; base < 32000; base += 503 {
		free := true
		for _, n := range distances {
			l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(base+n)))
			if free = free && err == nil; err == nil {
				l.Close()
			}
		}
		if free {
			return base
		}
	}
	t.Fatal("there are no free ports")
	return 0
}
