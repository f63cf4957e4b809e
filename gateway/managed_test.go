package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mholt/acmez/v3"
	"go.uber.org/zap"
)

// newManaged prepares certificates for api.example.com, of a CA that nobody is asked of here.
func newManaged(t *testing.T, log *slog.Logger, now func() time.Time) *ManagedCertificates {
	t.Helper()
	m, err := NewManagedCertificates(ManagedOptions{
		Domains: []string{"api.example.com"}, CA: "https://127.0.0.1:1/dir", Folder: t.TempDir(),
		TLS: "127.0.0.1:443", HTTP: "127.0.0.1:80", Log: log, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// TestManagedWithoutCertificate refuses each handshake in the way that fits, and fills no log with it.
func TestManagedWithoutCertificate(t *testing.T) {
	log, clock := &lockedBuffer{}, newClock()
	m := newManaged(t, slog.New(slog.NewTextHandler(log, nil)), clock.now)
	h := start(t, nil)
	h.serve(m.TLS())
	shake := func(name string, protocols ...string) string {
		t.Helper()
		conn, err := tls.Dial("tcp", h.address, &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: protocols})
		if err == nil {
			conn.Close()
			t.Fatalf("handshake for %q: got a certificate", name)
		}
		return err.Error()
	}
	for _, tt := range []struct {
		name, want string
		protocols  []string
	}{
		{"other.example.com", "unrecognized name", nil},
		{"other.example.com", "unrecognized name", []string{acmez.ACMETLS1Protocol}},
		{"", "unrecognized name", nil},
		{"api.example.com", "internal error", nil},
		{"API.example.com", "internal error", []string{"h2"}},
		{"api.example.com", "internal error", []string{acmez.ACMETLS1Protocol}}, // nothing is to be proved
	} {
		if got := shake(tt.name, tt.protocols...); !strings.Contains(got, tt.want) {
			t.Errorf("handshake for %q with %q: got %q, want %q", tt.name, tt.protocols, got, tt.want)
		}
	}
	const words = "TLS handshakes fail"
	if n := strings.Count(log.String(), words); n != 1 {
		t.Errorf("the log tells of failing handshakes %d times within a minute, want once:\n%s", n, log.String())
	}
	clock.advance(refusalEvery)
	shake("api.example.com")
	if n := strings.Count(log.String(), words); n != 2 {
		t.Errorf("a minute later the log has told %d times, want 2", n)
	}
	if d := m.Degraded(); len(d) != 1 || !strings.Contains(d[0], "no certificate for api.example.com") {
		t.Errorf("got degraded %q", d)
	}
	if ends, there := m.Expiries()["api.example.com"]; !there || !ends.IsZero() {
		t.Errorf("got the end %s, %t, want the zero time", ends, there)
	}
}

// TestProofEndsTheConnection: who negotiates the CA's protocol gets no HTTP, whichever certificate he
// was shown.
func TestProofEndsTheConnection(t *testing.T) {
	pair, err := parsePair(makePair(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	h := start(t, nil)
	h.serve(&tls.Config{Certificates: []tls.Certificate{*pair}, NextProtos: []string{"h2", "http/1.1", acmez.ACMETLS1Protocol}})
	conn, err := tls.Dial("tcp", h.address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{acmez.ACMETLS1Protocol}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: api.example.com\r\nX-API-Key: "+goodKey+"\r\n\r\n") // it may be closed already
	if text, err := io.ReadAll(conn); len(text) > 0 || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %q, %v, want the connection closed", text, err)
	}
}

// TestRedirectAsksTheProver first, after the guard, and of well-formed requests only.
func TestRedirectAsksTheProver(t *testing.T) {
	h := start(t, nil, onRoute(func(r *Route) { r.Hosts = []string{"api.example.com"} }))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	prove := func(w http.ResponseWriter, r *http.Request, host string) bool {
		if r.URL.Path != "/.well-known/acme-challenge/token" {
			return false
		}
		_, _ = io.WriteString(w, "proof of "+host)
		return true
	}
	go func() { done <- h.gateway.ServeRedirect(l, "443", prove) }()
	t.Cleanup(func() {
		_ = h.gateway.Shutdown(context.Background())
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	get := func(host, path string) (status int, text string) {
		t.Helper()
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
		all, err := io.ReadAll(conn)
		if err != nil || len(all) < 12 {
			t.Fatalf("read %q, %v", all, err)
		}
		_, text, _ = strings.Cut(string(all), "\r\n\r\n")
		return int(all[9]-'0')*100 + int(all[10]-'0')*10 + int(all[11]-'0'), text
	}
	for _, tt := range []struct {
		host, path string
		status     int
		text       string
	}{
		{"other.example.com:80", "/.well-known/acme-challenge/token", 200, "proof of other.example.com"},
		{"api.example.com", "/.well-known/acme-challenge/other", 308, ""},
		{"api.example.com", "/x/../.well-known/acme-challenge/token", 400, "bad_request"},
		{"other.example.com", "/", 404, "route_not_found"},
	} {
		if status, text := get(tt.host, tt.path); status != tt.status || !strings.Contains(text, tt.text) {
			t.Errorf("%s at %s: got %d %q, want %d and %q", tt.path, tt.host, status, text, tt.status, tt.text)
		}
	}
}

// TestZapLog carries levels and fields over, and what certmagic tells step by step is detail.
func TestZapLog(t *testing.T) {
	var b bytes.Buffer
	log := newZapLogger(slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelInfo}))).Named("obtain").With(zap.String("ca", "pebble"))
	log.Info("step")
	log.Warn("odd", zap.Int("n", 3))
	log.Error("wrong", zap.Error(errors.New("no answer")), zap.Strings("names", []string{"a"}))
	got := b.String()
	if strings.Contains(got, "step") {
		t.Errorf("a step stands in the log at info: %s", got)
	}
	for _, want := range []string{"level=WARN msg=odd part=certificates ca=pebble n=3", "level=ERROR msg=wrong part=certificates ca=pebble error=\"no answer\" names=[a]"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s, want %q in it", got, want)
		}
	}
	b.Reset()
	newZapLogger(slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}))).Info("step")
	if !strings.Contains(b.String(), "level=DEBUG msg=step") {
		t.Errorf("at debug: got %s", b.String())
	}
}
