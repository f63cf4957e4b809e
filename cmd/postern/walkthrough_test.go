package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestWalkthroughs types what the examples' README files say, in a folder with their files, and
// compares what is printed with what they show. In a console block a line after $ is typed, the
// others are its output, on both streams, messages first; … stands for anything, alone for any lines.
func TestWalkthroughs(t *testing.T) {
	for _, name := range []string{"from-kong", "from-aws"} {
		t.Run(name, func(t *testing.T) {
			upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(w, "order for %s\n", r.Header.Get("X-Postern-Key-Id"))
			}))
			defer upstream.Close()
			gateway, admin := freeAddress(t), freeAddress(t)
			w := newWalk(t, name, "http://127.0.0.1:9000", upstream.URL, "http://127.0.0.1:8080", "http://"+gateway, "curl -i ", "call ", "HTTP/1.1 ", "")
			w.env = append(w.env, "POSTERN_LISTEN__GATEWAY="+gateway, "POSTERN_LISTEN__ADMIN="+admin)
			w.run()
		})
	}
}

// walk is one walk through a README.
type walk struct {
	t          *testing.T
	dir        string
	variables  string // file of those that commands set
	env        []string
	substitute *strings.Replacer // of what the README assumes about the machine
	steps      []walkStep
	background []*exec.Cmd
}

// walkStep is a command and what it should print.
type walkStep struct{ command, want string }

// newWalk prepares a walk with the old and new of each pair that is replaced.
func newWalk(t *testing.T, name string, replace ...string) *walk {
	t.Helper()
	from := filepath.Join("../../examples", name)
	w := &walk{t: t, dir: t.TempDir(), variables: filepath.Join(t.TempDir(), "variables")}
	w.substitute = strings.NewReplacer(replace...)
	w.env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "POSTERN_") }) // what asks for long forms, too
	w.env = append(w.env, "POSTERN_DRAIN__DELAY=0s")
	files, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.IsDir() {
			continue // what an example wrote here
		}
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(from, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if f.Name() == "README.md" {
			w.steps = readConsole(string(text))
		}
		if f.Name() == "gateway.yaml" {
			text = []byte(w.substitute.Replace(string(text)))
		}
		if err := os.WriteFile(filepath.Join(w.dir, f.Name()), text, info.Mode()); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.steps) < 5 {
		t.Fatalf("the README of %s has only %d commands", name, len(w.steps))
	}
	return w
}

// readConsole returns the commands of the console blocks of a README.
func readConsole(text string) (steps []walkStep) {
	inside := false
	for line := range strings.Lines(text) {
		switch trimmed := strings.TrimRight(line, "\n"); {
		case trimmed == "```console":
			inside = true
		case strings.HasPrefix(trimmed, "```"):
			inside = false
		case !inside:
		case strings.HasPrefix(trimmed, "$ "):
			steps = append(steps, walkStep{command: trimmed[2:]})
		default:
			steps[len(steps)-1].want += line
		}
	}
	return steps
}

func (w *walk) run() {
	defer w.stop()
	for _, s := range w.steps {
		command := w.substitute.Replace(s.command)
		cmd := exec.Command("sh", "-c", w.remembering(command))
		cmd.Dir, cmd.Env = w.dir, w.env
		if strings.HasSuffix(command, " &") {
			cmd = exec.Command("sh", "-c", "exec "+strings.TrimSuffix(command, " &"))
			cmd.Dir, cmd.Env = w.dir, w.env
			if err := cmd.Start(); err != nil {
				w.t.Fatal(err)
			}
			w.background = append(w.background, cmd)
			continue
		}
		var out, messages strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &messages
		err := cmd.Run()
		if _, exited := err.(*exec.ExitError); err != nil && !exited {
			w.t.Fatalf("%s: %v", command, err)
		}
		got := messages.String() + out.String()
		if !matchesOutput(w.substitute.Replace(s.want), got) {
			w.t.Fatalf("$ %s\ngot:\n%s\nwant:\n%s", s.command, got, s.want)
		}
	}
}

// remembering is a command after which the next one knows the variables that it sets.
func (w *walk) remembering(command string) string {
	kept := shellQuote(w.variables)
	return fmt.Sprintf("set -a; [ ! -e %s ] || . %s; %s\nstatus=$?; export -p >%s; exit $status", kept, kept, command, kept)
}

// stop ends what runs in the background.
func (w *walk) stop() {
	for _, cmd := range w.background {
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			w.t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			w.t.Errorf("the gateway ended with: %v", err)
		}
	}
}

// matchesOutput tells whether an output is the one that a README shows. Columns may be wider.
func matchesOutput(want, got string) bool {
	var pattern strings.Builder
	pattern.WriteString(`\A`)
	for line := range strings.Lines(want) {
		line = strings.TrimRight(line, "\n")
		if line == "…" {
			pattern.WriteString(`(?s:.*)`)
			continue
		}
		words := strings.Fields(line)
		for i, word := range words {
			parts := strings.Split(word, "…")
			for j := range parts {
				parts[j] = regexp.QuoteMeta(parts[j])
			}
			words[i] = strings.Join(parts, `.*`)
		}
		pattern.WriteString(` *` + strings.Join(words, ` +`) + `\s*\n?`)
	}
	return regexp.MustCompile(pattern.String() + `\z`).MatchString(got)
}

func TestMatchesOutput(t *testing.T) {
	for _, c := range []struct {
		want, got string
		matches   bool
	}{
		{"a b\n", "a   b\n", true},
		{"a b\n", "a\n", false},
		{"key_…\n", "key_1x\n", true},
		{"key_…\n", "keys\n", false},
		{"…\nb\n", "a\na\nb\n", true},
		{"a\n", "a\nb\n", false},
		{"a.c\n", "abc\n", false},
		{"", "a\n", false},
	} {
		if got := matchesOutput(c.want, c.got); got != c.matches {
			t.Errorf("%q against %q: got %t", c.got, c.want, got)
		}
	}
	steps := readConsole("text\n```console\n$ a\nb\n$ c\n```\n$ d\n```\n$ e\n```\n")
	if !slices.Equal(steps, []walkStep{{"a", "b\n"}, {"c", ""}}) {
		t.Errorf("steps: got %v", steps)
	}
}
