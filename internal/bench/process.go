package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is one that the bench started and will end.
type process struct {
	cmd   *exec.Cmd
	lines *bufio.Reader // its standard output
}

// start runs a program; its log goes nowhere, as a log that nobody collects would.
func start(ctx context.Context, dir, name string, args ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return &process{cmd: cmd, lines: bufio.NewReader(out)}, nil
}

// line returns the next line that the process prints.
func (p *process) line() (string, error) {
	s, err := p.lines.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("read from %s: %w", p.cmd.Path, err)
	}
	go func() { _, _ = io.Copy(io.Discard, p.lines) }() // so that it never blocks on its output
	return strings.TrimSpace(s), nil
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-done
	}
}

// cpu returns the user and system time that the process has used. The kernel's scheduler statistics
// count nanoseconds per thread, where /proc/PID/stat counts hundredths of a second.
func (p *process) cpu() (time.Duration, error) {
	dir := fmt.Sprintf("/proc/%d/task", p.cmd.Process.Pid)
	threads, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	var total time.Duration
	for _, t := range threads {
		text, err := os.ReadFile(dir + "/" + t.Name() + "/schedstat")
		if os.IsNotExist(err) {
			continue // the thread has just ended; Go's runtime keeps its threads
		}
		if err != nil {
			return 0, err
		}
		ran, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(ran, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read schedstat: %w", err)
		}
		total += time.Duration(ns)
	}
	return total, nil
}
