package main

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

// TestRefusedAnswers holds what scripts and people get of an error answer of the admin API.
func TestRefusedAnswers(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		code   int
		want   string
	}{
		{"internal error names the request", 500, `{"code":"internal_error","detail":"Something broke.","request_id":"r-1"}`, exitFailed,
			"internal_error: Something broke. (request id r-1, see the gateway's log)"},
		{"others do not", 404, `{"code":"not_found","detail":"No such key.","request_id":"r-1"}`, exitNotFound, "not_found: No such key."},
		{"fields", 422, `{"code":"validation_failed","detail":"Two fields.","errors":[{"field":"name","message":"is missing"}]}`, exitFailed,
			"validation_failed: Two fields.\n  name: is missing"},
		{"not permitted", 403, `{"code":"permission_denied","detail":"No."}`, exitNotPermitted, "permission_denied: No."},
		{"something else listens there", http.StatusBadGateway, `<html>`, exitUnreachable, "the server answered 502 " + http.StatusText(http.StatusBadGateway)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := refused(tt.status, []byte(tt.body))
			var f *failure
			if !errors.As(err, &f) || f.code != tt.code || strings.TrimSpace(err.Error()) != tt.want {
				t.Errorf("got %q with %+v, want %q and exit code %d", err, f, tt.want, tt.code)
			}
		})
	}
}
