package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"postern/config"
)

// The exit codes, which scripts rely on.
const (
	exitOK           = 0
	exitFailed       = 1
	exitUsage        = 2
	exitConfig       = 3 // the configuration is invalid
	exitNotPermitted = 4
	exitNotFound     = 5
	exitUnreachable  = 6
)

// failure is an error that knows its exit code and the next step.
type failure struct {
	code int
	err  error
	next string // what to do about it, or empty
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// usageError says that the command line itself is wrong.
func usageError(format string, args ...any) error {
	return &failure{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// report prints an error for people and returns the exit code for scripts.
func report(w io.Writer, cmd *cobra.Command, err error) int {
	if err == nil {
		return exitOK
	}
	var problems *config.Problems
	if errors.As(err, &problems) {
		fmt.Fprintln(w, strings.TrimRight(problems.Error(), "\n"))
		return exitConfig
	}
	fmt.Fprintf(w, "postern: %v\n", err)
	var f *failure
	if errors.As(err, &f) {
		if f.next != "" {
			fmt.Fprintf(w, "  %s\n", f.next)
		}
		if f.code == exitUsage && cmd != nil {
			fmt.Fprintf(w, "  See: %s --help\n", cmd.CommandPath())
		}
		return f.code
	}
	return exitFailed
}
