package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"postern/gateway"
)

// TestJSONAccess holds our lines against slog's own: the same fields with the same values.
func TestJSONAccess(t *testing.T) {
	for _, path := range []string{"/orders/", `/"quoted"\`, "/grüße", "/\x01\x7f\n", "/<script>&", "/\xff", ""} {
		line := &gateway.AccessLine{
			Time: time.Date(2026, 11, 21, 10, 0, 0, 123456789, time.UTC), Level: slog.LevelWarn,
			RequestID: "0123abcd", Route: "orders", Key: "key_0123", Method: path, Path: path, Status: 503,
			Code: "overloaded", Duration: 1234567 * time.Nanosecond, Received: 17, Sent: -1, Address: "::1",
		}
		var ours, theirs bytes.Buffer
		newJSONAccess(&ours, slog.LevelInfo).Request(line)
		gateway.SlogAccess(slog.NewJSONHandler(&theirs, nil)).Request(line)
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
}

func TestAccessLogKeepsTheLevel(t *testing.T) {
	var out bytes.Buffer
	a := newJSONAccess(&out, slog.LevelWarn)
	a.Request(&gateway.AccessLine{Level: slog.LevelInfo})
	if out.Len() != 0 {
		t.Errorf("at level warn, an info line was written: %s", &out)
	}
	a.Request(&gateway.AccessLine{Level: slog.LevelWarn})
	if out.Len() == 0 {
		t.Error("at level warn, a warning was not written")
	}
}
