package main

import (
	"os"
	"strings"
	"testing"

	"postern/config"
)

// TestReadmeConfiguration keeps the README's configuration the one that is loaded here.
func TestReadmeConfiguration(t *testing.T) {
	const path = "../../examples/minimal/gateway.yaml"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "```yaml\n"+string(text)+"```") {
		t.Errorf("the README's configuration is not %s", path)
	}
	if _, warnings, err := config.Load(path, config.LoadOptions{}); err != nil || len(warnings) > 0 {
		t.Errorf("load %s: %v, warnings %v", path, err, warnings)
	}
}

// TestReadmeCommands keeps the README's first two commands the ones that people are promised.
func TestReadmeCommands(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	for line := range strings.Lines(string(readme)) {
		if command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ "); ok {
			commands = append(commands, command)
		}
	}
	if len(commands) < 2 || commands[0] != "go run ./cmd/postern demo" || commands[1] != "make check" {
		t.Errorf("got the README's commands %q, want go run ./cmd/postern demo and make check first", commands)
	}
}
