//go:build realservers

package main

import (
	"crypto/tls"
	"debug/elf"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// image is a folder with what the Dockerfile's last stage copies, and nothing else, in which the
// image's commands run as its user: what a container engine does, as far as it matters here.
type image struct {
	t            *testing.T
	root         string
	instructions []string
	env          []string
	id           int // user and group
}

// buildImage runs the Dockerfile's own build command and copies the result and the CA certificates,
// here those of the test, to where the Dockerfile wants them.
func buildImage(t *testing.T, authorities string) *image {
	t.Helper()
	build, instructions := dockerInstructions(t)
	m := &image{t: t, root: t.TempDir(), instructions: instructions, env: dockerEnv(instructions)}
	out := t.TempDir()
	for _, line := range build {
		words, isRun := strings.CutPrefix(line, "RUN ")
		if !isRun || words == "go mod download" {
			continue
		}
		cmd := exec.Command("sh", "-c", strings.ReplaceAll(words, "/out/", out+"/"))
		cmd.Dir = "../.."
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", words, err, text)
		}
	}
	for _, line := range instructions {
		switch words := strings.Fields(line); words[0] {
		case "COPY":
			from, to := words[len(words)-2], filepath.Join(m.root, words[len(words)-1])
			if from == "/etc/ssl/certs/ca-certificates.crt" {
				from = authorities
			}
			m.copy(strings.Replace(from, "/out/", out+"/", 1), to, strings.Contains(line, "--chown=65532:65532"))
		case "USER":
			id, _, _ := strings.Cut(words[1], ":")
			var err error
			if m.id, err = strconv.Atoi(id); err != nil || words[1] != "65532:65532" {
				t.Fatalf("the image runs as %s, want 65532:65532", words[1])
			}
		}
	}
	return m
}

func (m *image) copy(from, to string, owned bool) {
	m.t.Helper()
	info, err := os.Stat(from)
	if err != nil {
		m.t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if info.IsDir() {
		err = os.Mkdir(to, info.Mode().Perm())
	} else {
		var text []byte
		if text, err = os.ReadFile(from); err == nil {
			err = os.WriteFile(to, text, info.Mode().Perm())
		}
	}
	if err == nil && owned {
		err = os.Chown(to, 65532, 65532)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// command prepares a command line of the image, with more environment.
func (m *image) command(words []string, env ...string) *exec.Cmd {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Path, cmd.Dir = words[0], "/"
	cmd.Env = append(append([]string{}, m.env...), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: m.root, Credential: &syscall.Credential{Uid: uint32(m.id), Gid: uint32(m.id), NoSetGroups: true}}
	return cmd
}

// TestDeployImage starts the image's program with nothing but the image's files, as a user without
// rights, and has a request go through it to an upstream that speaks TLS. It needs root.
func TestDeployImage(t *testing.T) {
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "upstream") }))
	dir := t.TempDir()
	writeCertificate(t, dir)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	upstream.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	upstream.StartTLS()
	defer upstream.Close()
	authorities := filepath.Join(dir, "cert.pem")
	if err := os.Chmod(authorities, 0o644); err != nil { // as the package has it
		t.Fatal(err)
	}
	m := buildImage(t, authorities)

	program, err := elf.Open(filepath.Join(m.root, "postern"))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	if libraries, err := program.ImportedLibraries(); err != nil || len(libraries) > 0 || program.Section(".interp") != nil {
		t.Errorf("the program is not static: it needs %q, %v", libraries, err)
	}

	gateway, admin := freeAddress(t), freeAddress(t)
	text := fmt.Sprintf("version: 1\nlisten: { gateway: %q, admin: %q }\ndrain: { delay: 0s }\n", gateway, admin) +
		mainConfig(upstream.URL, "100/s, 1000/day")
	m.mount("etc/postern/gateway.yaml", text)
	entry := dockerCommand(t, m.instructions, "ENTRYPOINT")
	if out, err := m.command(append(entry, "init", "--config", "/etc/postern/gateway.yaml")).CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}

	socket := fmt.Sprintf("@postern-image-%d", os.Getpid())
	notified, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notified.Close()
	wantNotified := func(want string) {
		t.Helper()
		b := make([]byte, 100)
		if err := notified.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if n, err := notified.Read(b); err != nil || string(b[:n]) != want {
			t.Fatalf("systemd hears %q, %v, want %q", b[:n], err, want)
		}
	}
	run, log := m.command(append(entry, dockerCommand(t, m.instructions, "CMD")...), "NOTIFY_SOCKET="+socket), &logBuffer{}
	run.Stderr = log
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = run.Process.Kill() }() // it has ended by then
	wantNotified(managerReady)

	if out, err := m.command(dockerCommand(t, m.instructions, "HEALTHCHECK")).CombinedOutput(); err != nil {
		t.Errorf("the health check: %v\n%s\n%s", err, out, log)
	}
	key, err := m.command(append(entry, "keys", "create", "--name", "first", "--api", "main", "--config", "/etc/postern/gateway.yaml")).Output()
	if err != nil {
		t.Fatalf("keys create: %v\n%s", err, log)
	}
	req, err := http.NewRequest(http.MethodGet, "http://"+gateway+"/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", strings.TrimSpace(string(key)))
	if resp, text := do(t, http.DefaultClient, req); resp.StatusCode != http.StatusOK || text != "upstream" {
		t.Errorf("got %d %q, want 200 from the upstream\n%s", resp.StatusCode, text, log)
	}
	if err := run.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wantNotified(managerStopping)
	if err := run.Wait(); err != nil {
		t.Errorf("the program ended with %v\n%s", err, log)
	}
	if out, err := m.command(dockerCommand(t, m.instructions, "HEALTHCHECK")).CombinedOutput(); err == nil {
		t.Errorf("the health check finds a gateway that has ended healthy: %s", out)
	}
}

// mount puts a file of the operator's where the image's user can read it.
func (m *image) mount(path, text string) {
	m.t.Helper()
	path = filepath.Join(m.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Chmod(m.root, 0o755); err != nil {
		m.t.Fatal(err)
	}
}

// TestDeployUnitVerifies has systemd read the unit, with the program where it is here.
func TestDeployUnitVerifies(t *testing.T) {
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "postern.service")
	if err := os.WriteFile(unit, []byte(strings.ReplaceAll(string(text), "/usr/local/bin/postern", here)), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-analyze", "verify", unit).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify (Debian package systemd): %v\n%s", err, out)
	}
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=20", unit).CombinedOutput()
	if err != nil {
		t.Errorf("the unit is exposed to more than 2.0 of 10: %v\n%s", err, out)
	}
}
