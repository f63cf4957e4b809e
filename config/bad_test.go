package config_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/config"
)

var update = flag.Bool("update", false, "write what the bad files print to their .want files")

// TestBadFiles compares everything that each bad file prints, position by position.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("found %d bad files, %v", len(files), err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			_, _, err := config.Load(file, config.LoadOptions{})
			var problems *config.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("got error %v, want *Problems", err)
			}
			for _, p := range problems.List {
				if p.File != file || p.Line < 1 || p.Column < 1 {
					t.Errorf("problem without a position: %+v", p)
				}
			}
			got := strings.ReplaceAll(err.Error(), here, "$DIR") + "\n"
			golden := strings.TrimSuffix(file, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("output differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBadSizes(t *testing.T) {
	tests := []struct {
		name, text, want string
	}{
		{"file too large", "version: 1 #" + strings.Repeat("x", 1<<20), "is larger than 1024 KiB"},
		{"brackets", "apis: " + strings.Repeat("[", 20_000), "is nested deeper than 32 levels"},
		{"braces", strings.Repeat("{a: ", 20_000), "is nested deeper than 32 levels"},
		{"dashes", strings.Repeat("- ", 20_000), "is nested deeper than 32 levels"},
		{"question marks", strings.Repeat("? ", 20_000), "is nested deeper than 32 levels"},
		{"indentation", stairs(200), "is indented further than 128 columns"},
		{"one large map", strings.Repeat("a: 1\n", 20_000), "is a map or list of more than 10000 lines at one level"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := config.Parse("large.yaml", []byte(tt.text), config.LoadOptions{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %.200v, want %q", err, tt.want)
			}
		})
	}
}

// stairs nests maps in block style, one column a level.
func stairs(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func TestMissingFile(t *testing.T) {
	_, _, err := config.Load("testdata/nowhere.yaml", config.LoadOptions{})
	want := "testdata/nowhere.yaml: there is no such file\n    → name the configuration, or make one with postern init\n1 problem"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, _, err := config.Load("testdata", config.LoadOptions{}); err == nil {
		t.Error("a folder was loaded")
	}
}

func TestOnlyTheFirstThousandProblemsAreListed(t *testing.T) {
	text := "version: 1\nlog:\n" + strings.Repeat("  level: x\n", 1150)
	_, _, err := config.Parse("many.yaml", []byte(text), config.LoadOptions{})
	var problems *config.Problems
	if !errors.As(err, &problems) || len(problems.List) != 1000 || problems.More != 150 {
		t.Fatalf("got %d problems and %d more, want 1000 and 150", len(problems.List), problems.More)
	}
	if !strings.HasSuffix(err.Error(), "1150 problems, of which the first 1000 are shown") {
		t.Errorf("got the ending %q", err.Error()[len(err.Error())-60:])
	}
}
