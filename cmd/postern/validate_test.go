package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestValidateBadFiles gives every broken configuration to the command: exit code 3, and where.
func TestValidateBadFiles(t *testing.T) {
	files, err := filepath.Glob("../../config/testdata/bad/*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("found %d bad files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			var out, messages strings.Builder
			code := realMain(t.Context(), []string{"validate", file}, session{in: strings.NewReader(""), out: &out, err: &messages, env: os.Environ()})
			if code != exitConfig {
				t.Errorf("got exit code %d, want %d", code, exitConfig)
			}
			where := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(file) + `:[1-9][0-9]*:[1-9][0-9]*: \S`)
			if !where.MatchString(messages.String()) {
				t.Errorf("no file:line:column in:\n%s", &messages)
			}
			if out.Len() > 0 {
				t.Errorf("standard output is for results, got %q", out.String())
			}
		})
	}
}
