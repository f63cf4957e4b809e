package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"reflect"
	"testing"
	"time"
)

// TestAccessHandler holds the handler against slog's own: the same values in the same order.
func TestAccessHandler(t *testing.T) {
	at := time.Date(2026, 11, 21, 10, 0, 0, 123456789, time.UTC)
	for _, path := range []string{"/orders/", `/"quoted"\`, "/grüße", "/\x01\x7f\n", "/<script>&", "/\xff", ""} {
		record := slog.NewRecord(at, slog.LevelWarn, "request", 0)
		record.AddAttrs(slog.Attr{Value: slog.GroupValue(
			slog.String("path", path), slog.Int("status", 200), slog.Int64("sent", -1))})
		var ours, theirs bytes.Buffer
		if err := newAccessHandler(&ours, slog.LevelInfo).Handle(t.Context(), record); err != nil {
			t.Fatal(err)
		}
		if err := slog.NewJSONHandler(&theirs, nil).Handle(t.Context(), record); err != nil {
			t.Fatal(err)
		}
		var got, want map[string]any
		if err := json.Unmarshal(ours.Bytes(), &got); err != nil {
			t.Fatalf("path %q: %v in %s", path, err, &ours)
		}
		if err := json.Unmarshal(theirs.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) || bytes.Count(ours.Bytes(), []byte("\n")) != 1 {
			t.Errorf("path %q: got %s, want %s", path, &ours, &theirs)
		}
	}
	if h := newAccessHandler(nil, slog.LevelWarn); h.Enabled(t.Context(), slog.LevelInfo) || !h.Enabled(t.Context(), slog.LevelWarn) {
		t.Error("the level is not kept")
	}
}
