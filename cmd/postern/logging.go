package main

import (
	"bufio"
	"io"
	"log/slog"
	"sync"
	"time"

	"postern/gateway"
)

// newLogger writes text for people at a terminal and JSON for everybody else, unless told.
func newLogger(w io.Writer, format string, level slog.Leveler, terminal bool) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if asText(format, terminal) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// newAccessLogger is newLogger for the one line of each request.
func newAccessLogger(w io.Writer, format string, level slog.Leveler, terminal bool) gateway.AccessLog {
	if asText(format, terminal) {
		return gateway.SlogAccess(newLogger(w, format, level, terminal).Handler())
	}
	return newJSONAccess(w, level)
}

func asText(format string, terminal bool) bool {
	return format == "text" || (format == "auto" && terminal)
}

// lineWriter gathers log lines so that a request does not pay for a write of its own: writing each
// access line at once cost more than deciding the request. Lines are on their way at the latest
// after flushEvery, and all of them when it is closed. Safe for concurrent use.
type lineWriter struct {
	mu      sync.Mutex
	buffer  *bufio.Writer
	waiting bool // a flush is scheduled
	closed  bool
}

const (
	lineBuffer = 64 << 10
	flushEvery = 100 * time.Millisecond
)

func newLineWriter(w io.Writer) *lineWriter {
	return &lineWriter{buffer: bufio.NewWriterSize(w, lineBuffer)}
}

// Write takes one whole line.
func (l *lineWriter) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := l.buffer.Write(line)
	if l.closed {
		return n, l.buffer.Flush()
	}
	if !l.waiting {
		l.waiting = true
		time.AfterFunc(flushEvery, l.flush)
	}
	return n, err
}

func (l *lineWriter) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = false
	// A log that cannot be written has nowhere to say so; bufio repeats the error on each write.
	_ = l.buffer.Flush()
}

// Close writes what is left; later lines go straight through.
func (l *lineWriter) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return l.buffer.Flush()
}
