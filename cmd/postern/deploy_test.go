package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/config"
)

const (
	unitFile   = "../../examples/systemd/postern.service"
	dockerfile = "../../examples/docker/Dockerfile"
	deployPage = "../../docs/howto/deploy.md"
)

// wantCommand tells whether the program has a command line, given without the program's name.
func wantCommand(t *testing.T, where string, words []string) {
	t.Helper()
	root := newRoot(session{in: strings.NewReader(""), out: io.Discard, err: io.Discard})
	cmd, rest, err := root.Find(words)
	if err != nil || cmd == root {
		t.Errorf("%s: postern %s: no such command: %v", where, strings.Join(words, " "), err)
		return
	}
	if err := cmd.ParseFlags(rest); err != nil {
		t.Errorf("%s: postern %s: %v", where, strings.Join(words, " "), err)
		return
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		t.Errorf("%s: postern %s: %v", where, strings.Join(words, " "), err)
	}
}

// unitSetting returns the value of a setting that a unit file has once.
func unitSetting(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^`+name+`=(.*)$`).FindAllStringSubmatch(string(text), -1)
	if len(found) != 1 {
		t.Fatalf("the unit has %s %d times, want once", name, len(found))
	}
	return found[0][1]
}

func TestDeployUnit(t *testing.T) {
	words := strings.Fields(unitSetting(t, "ExecStart"))
	if words[0] != "/usr/local/bin/postern" {
		t.Errorf("the unit starts %s, and the page installs /usr/local/bin/postern", words[0])
	}
	wantCommand(t, unitFile, words[1:])
	if got := unitSetting(t, "RestartPreventExitStatus"); got != strconv.Itoa(exitConfig) {
		t.Errorf("the unit does not restart on %s, want the exit code of an invalid configuration, %d", got, exitConfig)
	}
	c, warnings, err := config.Load("../../examples/systemd/gateway.yaml", config.LoadOptions{})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("the unit's configuration: %v %v", err, warnings)
	}
	patience, err := time.ParseDuration(unitSetting(t, "TimeoutStopSec"))
	if err != nil || patience < c.Drain.Delay+c.Drain.Timeout+10*time.Second {
		t.Errorf("the unit grants %s, %v, to leave; the drain takes %s", patience, err, c.Drain.Delay+c.Drain.Timeout)
	}
	state := "/var/lib/" + unitSetting(t, "StateDirectory")
	for what, path := range map[string]string{"data_dir": string(c.DataDir), "pepper": c.Secrets.Pepper.File, "keyset": c.Secrets.Keyset.File} {
		if path != state && !strings.HasPrefix(path, state+"/") {
			t.Errorf("%s is %s, and the unit can write below %s only", what, path, state)
		}
	}
}

// dockerInstructions returns the instructions of the Dockerfile, each on one line.
func dockerInstructions(t *testing.T) (build, image []string) {
	t.Helper()
	text, err := os.ReadFile(dockerfile)
	if err != nil {
		t.Fatal(err)
	}
	to := &build
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", "")) {
		line = strings.Join(strings.Fields(line), " ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case line == "FROM scratch":
			to = &image
		default:
			*to = append(*to, line)
		}
	}
	if len(build) == 0 || len(image) == 0 {
		t.Fatal("the Dockerfile has not the two stages that this test knows")
	}
	return build, image
}

// dockerCommand returns what an instruction runs, written as a JSON list.
func dockerCommand(t *testing.T, instructions []string, name string) []string {
	t.Helper()
	for _, line := range instructions {
		if !strings.HasPrefix(line, name+" ") {
			continue
		}
		var words []string
		if err := json.Unmarshal([]byte(line[strings.Index(line, "["):]), &words); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		return words
	}
	t.Fatalf("the Dockerfile has no %s", name)
	return nil
}

func dockerEnv(instructions []string) []string {
	var env []string
	for _, line := range instructions {
		if variable, ok := strings.CutPrefix(line, "ENV "); ok {
			env = append(env, variable)
		}
	}
	return env
}

func TestDeployDockerfile(t *testing.T) {
	_, image := dockerInstructions(t)
	if entry := dockerCommand(t, image, "ENTRYPOINT"); len(entry) != 1 || entry[0] != "/postern" {
		t.Errorf("the image's entry is %q", entry)
	}
	wantCommand(t, dockerfile, dockerCommand(t, image, "CMD"))
	wantCommand(t, dockerfile, dockerCommand(t, image, "HEALTHCHECK")[1:])
	c, warnings, err := config.Load("../../examples/docker/gateway.yaml", config.LoadOptions{Env: dockerEnv(image)})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("the image's configuration: %v %v", err, warnings)
	}
	for what, path := range map[string]string{"data_dir": string(c.DataDir), "pepper": c.Secrets.Pepper.File, "keyset": c.Secrets.Keyset.File} {
		if path != "/data" && !strings.HasPrefix(path, "/data/") {
			t.Errorf("%s is %s, and the image's volume is /data", what, path)
		}
	}
	module, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	build, _ := dockerInstructions(t)
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(module))
	if want := "FROM golang:" + goVersion[1] + " AS build"; build[0] != want {
		t.Errorf("the image is built %s, and go.mod wants %s", build[0], want)
	}
}

// TestDeployPage checks each command of the program on the page against the program.
func TestDeployPage(t *testing.T) {
	f, err := os.Open(deployPage)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found := 0
	command := regexp.MustCompile(`^(?:sudo -u postern postern|docker compose .* (?:run --rm postern|exec postern /postern)) (.*)$`)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if m := command.FindStringSubmatch(lines.Text()); m != nil {
			wantCommand(t, deployPage, strings.Fields(m[1]))
			found++
		}
	}
	if found < 5 {
		t.Errorf("found %d commands of the program, want 5", found)
	}
	for _, file := range []string{"../../examples/docker/compose.yaml", "../../examples/docker/Dockerfile.dockerignore"} {
		if info, err := os.Stat(filepath.Clean(file)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestServiceManagerIsTold listens as systemd does.
func TestServiceManagerIsTold(t *testing.T) {
	for _, socket := range []string{filepath.Join(t.TempDir(), "notify"), "@postern-test-" + strconv.Itoa(os.Getpid())} {
		l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		heard := func() string {
			b := make([]byte, 100)
			n, err := l.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			return string(b[:n])
		}
		m := newServiceManager([]string{"NOTIFY_SOCKET=" + socket})
		for _, state := range []string{managerReady, managerStopping} {
			if err := m.tell(state); err != nil {
				t.Fatal(err)
			}
			if got := heard(); got != state {
				t.Errorf("systemd hears %q, want %q", got, state)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := m.tell(managerReady); err == nil {
			t.Error("nobody listens, and that is no error")
		}
	}
	if err := newServiceManager(nil).tell(managerReady); err != nil {
		t.Errorf("nobody asked: %v", err)
	}
}
