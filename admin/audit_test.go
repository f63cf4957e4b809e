package admin

import (
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/internal/keys"
)

const (
	zeroMAC  = "0000000000000000000000000000000000000000000000000000000000000000"
	headText = "2:0900000000000000000000000000000000000000000000000000000000000000"
)

func TestListAudit(t *testing.T) {
	s := newSite(t)
	r := s.do("GET", "/v1/audit?tenant=acme&action=key.generated&actor=tok_1&target=key_1&from=2026-11-01T00:00:00%2B01:00&to=2026-12-01T00:00:00Z&limit=2&cursor=abc", "")
	items := r.object["items"].([]any)
	if r.status != 200 || len(items) != 2 || r.object["next"] != "more" {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	want := map[string]any{
		"chain": "acme", "seq": 1.0, "time": "2026-11-21T10:00:00.000001Z", "action": "key.generated", "target": "key_000000000001",
		"actor": map[string]any{"type": "token", "id": "tok_1", "name": "=cmd|' /C calc'!A0"}, "detail": map[string]any{},
		"address": "192.0.2.1", "request": "req", "prev": zeroMAC, "mac": "01" + zeroMAC[2:],
	}
	if diff := cmp.Diff(want, items[1]); diff != "" {
		t.Errorf("entry (-want +got):\n%s", diff)
	}
	filter := keys.AuditFilter{
		Chain: "acme", Action: "key.generated", Actor: "tok_1", Target: "key_1", Cursor: "abc", Limit: 2,
		From: time.Date(2026, 10, 31, 23, 0, 0, 0, time.UTC), To: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC),
	}
	if diff := cmp.Diff(filter, s.registry.auditFilter); diff != "" {
		t.Errorf("filter (-want +got):\n%s", diff)
	}
	if r := s.do("GET", "/v1/audit", ""); r.status != 200 || s.registry.auditFilter != (keys.AuditFilter{Limit: 100}) {
		t.Errorf("without filters: got %d, asked %+v", r.status, s.registry.auditFilter)
	}
	if r := s.do("GET", "/v1/audit?chain=acme&tenant=acme", ""); r.status != 200 {
		t.Errorf("the same by both names: got %d %s", r.status, r.body)
	}
	for query, field := range map[string]string{"chain=acme&tenant=other": "tenant", "cursor=nonsense": "cursor", "from=now": "from"} {
		r := s.do("GET", "/v1/audit?"+query, "")
		wantProblem(t, r, 422, "validation_failed")
		if got := r.fields(); !slices.Equal(got, []string{field}) {
			t.Errorf("%s: got fields %v", query, got)
		}
	}
}

func TestAuditChainsAndVerify(t *testing.T) {
	s := newSite(t)
	r := s.do("GET", "/v1/audit/chains", "")
	want := map[string]any{"items": []any{map[string]any{"chain": "acme", "count": 2.0, "head": headText}}}
	if diff := cmp.Diff(want, r.object); r.status != 200 || diff != "" {
		t.Errorf("chains: got %d (-want +got):\n%s", r.status, diff)
	}
	r = s.do("GET", "/v1/audit/verify?chain=acme&expect_head="+headText, "")
	want = map[string]any{"chain": "acme", "ok": true, "count": 2.0, "head": headText}
	if diff := cmp.Diff(want, r.object); r.status != 200 || diff != "" {
		t.Errorf("verify: got %d (-want +got):\n%s", r.status, diff)
	}
	if e := s.registry.expected; e == nil || e.Count != 2 || e.Hash != (keys.RowMAC{9}) {
		t.Errorf("expected head: got %+v", e)
	}
	r = s.do("GET", "/v1/audit/verify?tenant=broken", "")
	want = map[string]any{"chain": "broken", "ok": false, "count": 2.0, "head": headText, "first_bad": map[string]any{"seq": 3.0, "problem": "cut_off"}}
	if diff := cmp.Diff(want, r.object); r.status != 200 || diff != "" || s.registry.expected != nil {
		t.Errorf("broken: got %d (-want +got):\n%s", r.status, diff)
	}
	for _, head := range []string{"2", "2:00", "x:y", "-1:" + headText[2:]} {
		r := s.do("GET", "/v1/audit/verify?expect_head="+head, "")
		wantProblem(t, r, 422, "validation_failed")
		if got := r.fields(); !slices.Equal(got, []string{"expect_head"}) {
			t.Errorf("%s: got fields %v", head, got)
		}
	}
}

func TestExportAudit(t *testing.T) {
	s := newSite(t)
	r := s.do("GET", "/v1/audit/export?chain=acme", "")
	lines := strings.Split(string(r.body), "\n")
	if r.status != 200 || len(lines) != 4 || lines[3] != "" || s.registry.auditFormat != "jsonl" {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	want := `{"chain":"acme","seq":2,"time":"2026-11-21T10:00:00.000002Z","action":"key.generated","target":"key_000000000001",` +
		`"actor":{"type":"token","id":"tok_1","name":"=cmd|' /C calc'!A0"},"detail":{"name":"a \"b\", <c>\n"},"address":"192.0.2.1","request":"req",` +
		`"prev":"01` + zeroMAC[2:] + `","mac":"02` + zeroMAC[2:] + `"}`
	if lines[1] != want {
		t.Errorf("line: got\n%s, want\n%s", lines[1], want)
	}
	if want := `{"head":{"chain":"ac/me\"","count":2,"hash":"09` + zeroMAC[2:] + `"}}`; lines[2] != want {
		t.Errorf("head: got\n%s, want\n%s", lines[2], want)
	}
	if got := r.header.Get("Content-Type"); got != "application/jsonl" {
		t.Errorf("type: got %s", got)
	}
	if got := r.header.Get("Content-Disposition"); got != `attachment; filename="audit-ac_me_.jsonl"` {
		t.Errorf("disposition: got %s", got)
	}

	r = s.do("GET", "/v1/audit/export?chain=acme&format=csv", "")
	rows, err := csv.NewReader(strings.NewReader(string(r.body))).ReadAll()
	if err != nil || len(rows) != 4 || r.header.Get("Content-Type") != "text/csv; charset=utf-8" {
		t.Fatalf("CSV: got %d %s, %v", r.status, r.body, err)
	}
	if rows[1][7] != `'=cmd|' /C calc'!A0` || rows[1][8] != `{"name":"a \"b\", \u003cc\u003e\n"}` || rows[3][3] != "head" || rows[3][1] != "2" {
		t.Errorf("CSV: got %q", rows)
	}
	for _, cell := range []string{"=1", "+1", "-1", "@a", "\ta", "\ra", "\na"} {
		if got := harmless(cell); got != "'"+cell {
			t.Errorf("%q: got %q", cell, got)
		}
	}
	wantProblem(t, s.do("GET", "/v1/audit/export?format=xml", ""), 422, "validation_failed")
}

// TestBrokenExportDoesNotLookWhole tears the connection when the store fails halfway.
func TestBrokenExportDoesNotLookWhole(t *testing.T) {
	s := newSite(t)
	for _, format := range []string{"jsonl", "csv"} {
		req, err := http.NewRequest("GET", s.url+"/v1/audit/export?chain=broken&format="+format, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+operatorText)
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			t.Errorf("%s: got %v, want a torn answer", format, err)
		}
	}
}

func TestBrokenExportIsLogged(t *testing.T) {
	s := newSite(t)
	req := httptest.NewRequest("GET", "/v1/audit/export?chain=broken", nil)
	req.Header.Set("Authorization", "Bearer "+operatorText)
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("got panic %v, want %v", v, http.ErrAbortHandler)
		}
		if log := s.log.String(); !strings.Contains(log, "store unavailable") {
			t.Errorf("the cause is not in the log:\n%s", log)
		}
	}()
	s.handler.ServeHTTP(httptest.NewRecorder(), req)
}
