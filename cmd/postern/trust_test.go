package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// TestAdminCA asks an admin API whose certificate no authority of the system signed.
func TestAdminCA(t *testing.T) {
	dir := t.TempDir()
	writeCertificate(t, dir)
	r := startProgramIn(t, dir, mainConfig("http://127.0.0.1:9", "1/s")+"admin: { tls: { cert_file: cert.pem, key_file: key.pem } }\n", "")
	url := strings.Replace(r.admin, "http:", "https:", 1)
	ca := filepath.Join(dir, "cert.pem")
	for _, c := range []struct {
		name string
		args []string
		env  []string
		code int
		says string
	}{
		{"a flag", []string{"keys", "list", "--admin-ca", ca}, nil, exitOK, "ID"},
		{"a variable", []string{"health"}, []string{"POSTERN_ADMIN_CA=" + ca}, exitOK, "ready"},
		{"nothing", []string{"keys", "list"}, nil, exitUnreachable, "certificate"},
		{"a file that is not there", []string{"keys", "list", "--admin-ca", ca + "x"}, nil, exitUsage, "--admin-ca: open"},
		{"a file without a certificate", []string{"health"}, []string{"POSTERN_ADMIN_CA=" + filepath.Join(dir, "gateway.yaml")}, exitUsage, "no certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			env := append(c.env, "POSTERN_ADMIN_URL="+url, "POSTERN_ADMIN_TOKEN="+r.token)
			code := realMain(t.Context(), c.args, session{in: strings.NewReader(""), out: &out, err: &out, env: env})
			if code != c.code || !strings.Contains(out.String(), c.says) {
				t.Errorf("got exit code %d, want %d, and %q in:\n%s", code, c.code, c.says, out.String())
			}
		})
	}
}
