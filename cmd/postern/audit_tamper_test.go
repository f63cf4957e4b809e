package main

import (
	"database/sql"
	"encoding/json"
	"net/http"
	"path/filepath"
	"testing"
)

// TestAuditVerifyFindsTampering changes the audit trail in the database file, as somebody with access
// to the disk would, and has a running gateway verify it.
func TestAuditVerifyFindsTampering(t *testing.T) {
	for _, c := range []struct {
		name, statement string
		seq             int64
		problem         string
	}{
		{"untouched", "SELECT 1", 0, ""},
		{"altered", "UPDATE audit SET actor_name = 'nobody' WHERE chain = 'default' AND seq = 3", 3, "altered"},
		{"detail that is no JSON", "UPDATE audit SET detail = '{' WHERE chain = 'default' AND seq = 2", 2, "altered"},
		{"short MAC", "UPDATE audit SET mac = x'00' WHERE chain = 'default' AND seq = 4", 4, "altered"},
		{"deleted in the middle", "DELETE FROM audit WHERE chain = 'default' AND seq = 2", 2, "missing"},
		{"swapped", "UPDATE audit SET seq = CASE seq WHEN 2 THEN -4 ELSE -2 END WHERE chain = 'default' AND seq IN (2, 4); UPDATE audit SET seq = -seq WHERE seq < 0", 2, "reordered"},
		{"tail cut", "DELETE FROM audit WHERE chain = 'default' AND seq > 3", 4, "cut_off"},
		{"tail cut with the head", "DELETE FROM audit WHERE chain = 'default' AND seq > 3; DELETE FROM meta WHERE name LIKE 'audit_head:%'", 4, "cut_off"},
		{"put in", "INSERT INTO audit SELECT chain, seq + 10, time, actor_type, actor_id, actor_name, action, target, detail, address, request, prev, mac FROM audit WHERE chain = 'default' AND seq = 5", 6, "missing"},
		{"put before the first", "INSERT INTO audit SELECT chain, seq - 10, time, actor_type, actor_id, actor_name, action, target, detail, address, request, prev, mac FROM audit WHERE chain = 'default' AND seq = 5", 1, "altered"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			yaml := mainConfig("http://127.0.0.1:9", "100/s")
			r := startProgramIn(t, dir, yaml, "")
			for range 5 {
				r.generate(`{"name":"ci","apis":["main"]}`)
			}
			r.stop()
			tamper(t, filepath.Join(dir, "data", "postern.db"), c.statement)
			r = startProgramIn(t, dir, yaml, "")
			status, text := r.api(http.MethodGet, "/v1/audit/verify?chain=default", "")
			var v auditVerdict
			if err := json.Unmarshal([]byte(text), &v); err != nil || status != http.StatusOK {
				t.Fatalf("got %d %s, %v", status, text, err)
			}
			if c.problem == "" {
				if !v.OK || v.Count != 5 || v.FirstBad != nil {
					t.Errorf("got %s", text)
				}
				return
			}
			if v.OK || v.FirstBad == nil || *v.FirstBad != (auditFault{c.seq, c.problem}) {
				t.Errorf("got %s, want entry %d %s", text, c.seq, c.problem)
			}
		})
	}
}

func tamper(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path) // the store's own driver
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}
