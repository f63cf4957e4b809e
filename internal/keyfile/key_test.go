package keyfile

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// written is when the files of the tests were made.
var written = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// secret is a key that no message may repeat.
const secret = "ud8xkkQ3GUGmWa2qVqiw5vSUnpbG3OgS"

func texts(list []Problem) (out []string) {
	for _, p := range list {
		out = append(out, p.String())
	}
	return out
}

// check reads a file and compares what came of it. Keys are written as line and JSON.
func check(t *testing.T, f Format, text string, o Options, want []string, problems, warnings []string) {
	t.Helper()
	o.Written = written
	file := Read(f, []byte(text), o)
	var got []string
	for i := range file.Keys {
		line, err := json.Marshal(&file.Keys[i])
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%d %s", file.Keys[i].Line, line))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(problems, texts(file.Problems)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(warnings, texts(file.Warnings)); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	if all := fmt.Sprint(file.Problems, file.Warnings); strings.Contains(all, secret) {
		t.Errorf("a message repeats the key: %s", all)
	}
}

// TestKeysPrintAsMasks keeps keys out of messages that print whole values.
func TestKeysPrintAsMasks(t *testing.T) {
	k := Key{Name: "a", Text: secret}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if got := fmt.Sprintf(format, k); strings.Contains(got, secret) {
			t.Errorf("%s: got %s", format, got)
		}
	}
}

func TestReadOfNothing(t *testing.T) {
	for _, f := range Formats() {
		for _, text := range []string{"", "\ufeff", "\n\n", "[]", "{}", "---\n", "null", "\x00", "\xff\xfe"} {
			if file := Read(f, []byte(text), Options{}); len(file.Keys) != 0 || len(file.Problems) == 0 {
				t.Errorf("%s, %q: got %d keys and no problem", f, text, len(file.Keys))
			}
		}
	}
}

func TestProblemsAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("name,key\n")
	for range 5000 {
		b.WriteString("a,b,c\n")
	}
	if file := Read(CSV, []byte(b.String()), Options{}); len(file.Problems) != maxProblems {
		t.Errorf("got %d problems", len(file.Problems))
	}
}

func TestParseTime(t *testing.T) {
	for text, want := range map[string]string{
		"2024-03-01T09:30:00+01:00": "2024-03-01T08:30:00Z",
		"2024-03-01":                "2024-03-01T00:00:00Z",
		"1701432000":                "2023-12-01T12:00:00Z",
		"1740658918.076":            "2025-02-27T12:21:58.076Z",
	} {
		got, err := parseTime(text)
		if err != nil || got.Truncate(time.Millisecond).Format(time.RFC3339Nano) != want {
			t.Errorf("%s: got %s, %v, want %s", text, got.Format(time.RFC3339Nano), err, want)
		}
	}
	for _, text := range []string{"", "2024", "-1701432000", "1e300", "NaN", "Inf", "yesterday", "2024-13-01", "01/03/2024", "99999999999999"} {
		if got, err := parseTime(text); err == nil {
			t.Errorf("%q was read as %s", text, got)
		}
	}
}
