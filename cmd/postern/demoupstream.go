package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
)

// demoUpstream is the API that the demo puts the gateway in front of: orders in memory. It shows in
// its answers what the gateway told it about the caller.
type demoUpstream struct {
	mu     sync.Mutex
	orders []demoOrder
}

type demoOrder struct {
	ID   int    `json:"id"`
	Item string `json:"item"`
}

func newDemoUpstream() *demoUpstream {
	return &demoUpstream{orders: []demoOrder{{1, "coffee"}, {2, "tea"}}}
}

func (d *demoUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if strings.TrimSuffix(r.URL.Path, "/") != "/orders" {
		w.WriteHeader(http.StatusNotFound)
		writeDemo(w, map[string]string{"error": "only /orders/ is here"})
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.Method == http.MethodPost {
		const kept = 100 // the demo runs for as long as somebody likes
		var o demoOrder
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&o); err != nil || o.Item == "" {
			w.WriteHeader(http.StatusUnprocessableEntity)
			writeDemo(w, map[string]string{"error": `send {"item": "…"}`})
			return
		}
		o.ID = d.orders[len(d.orders)-1].ID + 1
		d.orders = append(d.orders, o)
		d.orders = d.orders[max(0, len(d.orders)-kept):]
		w.WriteHeader(http.StatusCreated)
		writeDemo(w, o)
		return
	}
	writeDemo(w, map[string]any{
		"orders":         d.orders,
		"called_by":      r.Header.Get("X-Postern-Key-Id"),
		"with_scopes":    r.Header.Get("X-Postern-Scopes"),
		"your_key_came":  r.Header.Get("Authorization") != "" || r.Header.Get("X-Api-Key") != "",
		"request_id_was": r.Header.Get("X-Request-Id"),
	})
}

// writeDemo ignores the error: the only one to tell is the client that has gone.
func writeDemo(w http.ResponseWriter, v any) {
	_ = json.NewEncoder(w).Encode(v)
}
