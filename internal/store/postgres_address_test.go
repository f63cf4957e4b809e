package store

import (
	"strings"
	"testing"
)

func TestPostgresAddressIsNotTorn(t *testing.T) {
	for _, address := range []string{
		"postgres://postern:/s3cretpw@127.0.0.1/postern", "postgres://postern:s3cret/pw@127.0.0.1/postern",
		"postgres://postern:12/s3cretpw@127.0.0.1/postern", "postgres://postern:s3cret?pw@127.0.0.1/postern",
		"postgres://postern:s3cret#pw@127.0.0.1/postern", "postgres://127.0.0.1:/s3cretpw", "postgres://127.0.0.1/a/s3cretpw",
		"postgres://postern:s3cretpw/postern", "postgres://postern:12#s3cretpw",
	} {
		_, err := parsePostgres(address)
		if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "%") {
			t.Errorf("%s: got %v, want it refused without repeating it", address, err)
		}
	}
	for _, address := range []string{
		"postgres://postern:a%2Fb%40c@127.0.0.1/postern", "postgres://postern@[::1]:5433/postern", "postgres://h1:5432,h2:5433/postern",
		"postgresql:///postern?host=/run/postgresql", "postgres://u:p@h/d?user=a%40b",
	} {
		if _, err := parsePostgres(address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestPostgresStandbyIsRefused(t *testing.T) {
	const address = "postgres://postern:s3cretpw@h1,h2/postern"
	for setting, ok := range map[string]bool{
		"": true, "?target_session_attrs=read-write": true, "?target_session_attrs=primary": true,
		"?target_session_attrs=any": false, "?target_session_attrs=read-only": false, "?target_session_attrs=standby": false,
		"?target_session_attrs=prefer-standby": false, "?target_session_attrs=": false,
		"?target_session_attrs=primary&target_session_attrs=any": false,
	} {
		config, err := parsePostgres(address + setting)
		if ok && (err != nil || config.ValidateConnect == nil) {
			t.Errorf("%q: %v, or no server is looked at", setting, err)
		}
		if !ok && (err == nil || !strings.Contains(err.Error(), "standby") || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%q: got %v, want it refused", setting, err)
		}
	}
}
