package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"postern/internal/keys"
)

// chat accepts a WebSocket and echoes its messages.
func chat(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	for {
		kind, message, err := conn.Read(context.Background())
		if err != nil {
			return
		}
		if conn.Write(context.Background(), kind, message) != nil {
			return
		}
	}
}

func (h *harness) websocket(t *testing.T) (*websocket.Conn, *http.Response) {
	t.Helper()
	conn, res, err := websocket.Dial(t.Context(), h.url+"/chat", &websocket.DialOptions{
		HTTPClient: h.client, HTTPHeader: http.Header{"X-Api-Key": {goodKey}}})
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn, res
}

func say(t *testing.T, conn *websocket.Conn, text string) {
	t.Helper()
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
	_, back, err := conn.Read(t.Context())
	if err != nil || string(back) != text {
		t.Fatalf("got %q, %v; want %q", back, err, text)
	}
}

func allowWebSocket(r *Route) { r.WebSocket = true }

func TestWebSocket(t *testing.T) {
	h := start(t, http.HandlerFunc(chat), onRoute(allowWebSocket), onRoute(func(r *Route) { r.Timeout = 50 * time.Millisecond }))
	conn, res := h.websocket(t)
	if len(res.Header.Values("X-Request-Id")) != 1 {
		t.Errorf("X-Request-Id is %q", res.Header.Values("X-Request-Id"))
	}
	say(t, conn, "hello")
	say(t, conn, strings.Repeat("x", 20_000))
	// The route's timeout is over long since when the tunnel has lived for two of it.
	over := time.NewTimer(100 * time.Millisecond)
	<-over.C
	say(t, conn, "still here")
	_ = conn.Close(websocket.StatusNormalClosure, "")
	eventually(t, "the access line of the tunnel", func() bool { return strings.Contains(h.access.String(), "status=101") })
	if line := h.access.String(); strings.Contains(line, "sent=0") || strings.Contains(line, "received=0") {
		t.Errorf("the tunnel's bytes were not counted: %s", line)
	}
}

func TestWebSocketNotAllowed(t *testing.T) {
	h := start(t, http.HandlerFunc(chat))
	a := h.raw("GET /chat HTTP/1.1\r\nHost: x\r\nX-API-Key: " + goodKey + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	wantCode(t, a, keys.UpgradeNotAllowed)
}

func TestDrainClosesTunnels(t *testing.T) {
	h := start(t, http.HandlerFunc(chat), onRoute(allowWebSocket), func(o *Options) {
		o.Drain.Timeout = 100 * time.Millisecond
	})
	conn, _ := h.websocket(t)
	say(t, conn, "hello")
	if err := h.gateway.Shutdown(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown returned %v, want that something was cut", err)
	}
	if _, _, err := conn.Read(t.Context()); err == nil {
		t.Error("the tunnel is still open")
	}
}

func TestRevocationClosesTunnels(t *testing.T) {
	h := start(t, http.HandlerFunc(chat), onRoute(allowWebSocket))
	conn, _ := h.websocket(t)
	say(t, conn, "hello")
	h.directory.set(func(d *fakeDirectory) { d.revoked["key_good00000000"] = true })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, _, err := conn.Read(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("got %v after revocation, want a closed connection within 2 s", err)
	}
}
