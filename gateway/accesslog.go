package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// AccessLog takes the one line of each request. It is called from many requests at once, should be
// buffered, and must not keep the line: it is reused.
type AccessLog interface {
	Request(line *AccessLine)
}

// AccessLine is what is logged of a request: never the raw query, which may carry secrets, nor any
// header.
type AccessLine struct {
	Time      time.Time // of its end
	Level     slog.Level
	RequestID string
	Route     string // "": none was found
	Key       string // "": nobody was proved
	Method    string
	Path      string // decoded
	Status    int
	Code      string // why it was refused or failed; "": it was not
	Duration  time.Duration
	Received  int64 // bytes of its body
	Sent      int64 // and of the answer's
	Address   string

	WouldRefuse string // why a route that enforces would have refused it; "": it would not
}

// SlogAccess writes access lines as records of a slog.Handler.
func SlogAccess(h slog.Handler) AccessLog { return slogAccess{h} }

type slogAccess struct{ handler slog.Handler }

// Request implements AccessLog. It goes straight to the handler: a Logger would walk the stack for a
// source line that says nothing.
func (s slogAccess) Request(line *AccessLine) {
	ctx := context.Background()
	if !s.handler.Enabled(ctx, line.Level) {
		return
	}
	record := slog.NewRecord(line.Time, line.Level, "request", 0)
	record.AddAttrs(
		slog.String("request_id", line.RequestID),
		slog.String("route", line.Route),
		slog.String("key", line.Key),
		slog.String("method", line.Method),
		slog.String("path", line.Path),
		slog.Int("status", line.Status),
		slog.String("code", line.Code),
		slog.Int64("duration_us", line.Duration.Microseconds()),
		slog.Int64("received", line.Received),
		slog.Int64("sent", line.Sent),
		slog.String("address", line.Address),
	)
	if line.WouldRefuse != "" {
		record.AddAttrs(slog.String("would_refuse", line.WouldRefuse))
	}
	_ = s.handler.Handle(ctx, record) // there is nobody to tell
}

// logAccess writes the line of the call.
func (c *call) logAccess(end End) {
	if c.gateway.access == nil {
		return
	}
	level := slog.LevelInfo
	if end.Status >= http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	c.line = AccessLine{
		Time:      c.begun.Add(end.Duration),
		Level:     level,
		RequestID: c.id,
		Route:     c.routeName(),
		Key:       c.keyID(),
		Method:    c.inbound.Method,
		Path:      c.path(),
		Status:    end.Status,
		Code:      string(c.code),
		Duration:  end.Duration,
		Received:  end.Received,
		Sent:      end.Sent,
		Address:   c.addressText(),

		WouldRefuse: string(c.would),
	}
	c.gateway.access.Request(&c.line)
}

// addressText is the caller's address, without allocating where no proxy stands between.
func (c *call) addressText() string {
	if c.proxied {
		return c.address.String()
	}
	return hostOf(c.inbound.RemoteAddr)
}

// path is the decoded path, or what of the target can be shown when the guard refused it.
func (c *call) path() string {
	if c.request.path != "" {
		return c.request.path
	}
	const shown = 256
	path := c.inbound.URL.Path
	return path[:min(len(path), shown)]
}
