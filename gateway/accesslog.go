package gateway

import (
	"context"
	"log/slog"
	"net/http"
)

// logAccess writes the one line of a request. It never holds the raw query, which may carry
// secrets, nor any header. The handler behind is the caller's, and should be buffered.
func (c *call) logAccess(end End) {
	if c.gateway.access == nil {
		return
	}
	handler := c.gateway.access.Handler()
	level := slog.LevelInfo
	if end.Status >= http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	ctx := context.Background()
	if !handler.Enabled(ctx, level) {
		return
	}
	attrs := c.logged
	*attrs = loggedAttrs{
		slog.String("request_id", c.id),
		slog.String("route", c.routeName()),
		slog.String("key", c.keyID()),
		slog.String("method", c.inbound.Method),
		slog.String("path", c.path()),
		slog.Int("status", end.Status),
		slog.String("code", string(c.code)),
		slog.Int64("duration_us", end.Duration.Microseconds()),
		slog.Int64("received", end.Received),
		slog.Int64("sent", end.Sent),
		slog.String("address", c.addressText()),
	}
	fields := attrs[:len(attrs)-1]
	if c.would != "" {
		attrs[len(attrs)-1] = slog.String("would_refuse", string(c.would))
		fields = attrs[:]
	}
	// Straight to the handler: a Logger would walk the stack for a source line that says nothing.
	// A group without a name is written as its members; it saves the record an allocation.
	line := slog.NewRecord(c.begun.Add(end.Duration), level, "request", 0)
	line.AddAttrs(slog.Attr{Value: slog.GroupValue(fields...)})
	_ = handler.Handle(ctx, line) // there is nobody to tell
	*attrs = loggedAttrs{}
}

// loggedAttrs are what an access line says. They are reused, so the handler must be done with them
// when it returns, as slog's own are.
type loggedAttrs [12]slog.Attr // the last only where a route observes

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
