// Command postern is the API-key gateway: it builds every part from gateway.yaml and connects
// them, and it is the command line for the admin API of a running gateway.
//
// Data goes to standard output, messages to standard error. Exit codes are part of the contract,
// see exit.go.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	// Calendar limits need time zones also where the machine has no zone files.
	_ "time/tzdata"

	"golang.org/x/term"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := realMain(ctx, os.Args[1:], session{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Environ(), terminal: term.IsTerminal(int(os.Stderr.Fd())),
	})
	stop()
	os.Exit(code)
}

// session is what a command has of the person who typed it.
type session struct {
	in       io.Reader
	out, err io.Writer
	env      []string
	terminal bool             // err is one
	now      func() time.Time // what a gateway takes for the time; nil: time.Now
}

// realMain runs one command line and returns the exit code.
func realMain(ctx context.Context, args []string, s session) int {
	root := newRoot(s)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	return report(s.err, cmd, err)
}
