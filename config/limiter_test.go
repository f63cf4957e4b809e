package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/config"
)

// TestRedisAsMap: what the map form says reaches the limiter, and what is wrong in it is told at its place.
func TestRedisAsMap(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"ca.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), "empty.pem": []byte("hunter2")} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parse := func(backend string) (*config.Config, error) {
		c, _, err := config.Parse(filepath.Join(dir, "g.yaml"), []byte("version: 1\nlimiter: { backend: "+backend+" }\n"), config.LoadOptions{Env: []string{"REDIS_PASSWORD=hunter2", "SENTINEL_PASSWORD=hunter3"}})
		return c, err
	}
	c, err := parse(`{ addrs: ["a:1"], master_name: m, db: 3, username: u, password: env:REDIS_PASSWORD, sentinel_username: s, sentinel_password: env:SENTINEL_PASSWORD, tls: { ca_file: ca.pem } }`)
	if err != nil {
		t.Fatal(err)
	}
	o := c.Limiter.Backend.Options()
	if o.DB != 3 || o.Username != "u" || o.Password != "hunter2" || o.SentinelUsername != "s" || o.SentinelPassword != "hunter3" || o.TLS == nil || o.TLS.RootCAs == nil {
		t.Errorf("got %+v", o)
	}
	if c, err = parse(`{ addrs: ["a:1"], tls: true }`); err != nil || c.Limiter.Backend.Options().TLS == nil || c.Limiter.Backend.Options().TLS.RootCAs != nil {
		t.Errorf("with the system's authorities: %v", err)
	}
	if c, err = parse(`{ addrs: ["a:1"], tls: false }`); err != nil || c.Limiter.Backend.Options().TLS != nil {
		t.Errorf("without TLS: %v", err)
	}
	for backend, want := range map[string]string{
		`{ addrs: ["a:1"], tls: {} }`:                                               "limiter.backend.tls: names no ca_file",
		`{ addrs: ["a:1"], tls: { ca: x } }`:                                        "limiter.backend.tls.ca: unknown setting",
		`{ addrs: ["a:1"], tls: { ca_file: empty.pem } }`:                           "limiter.backend.tls.ca_file: " + dir + "/empty.pem holds no PEM certificate",
		`{ addrs: ["a:1"], tls: { ca_file: none.pem } }`:                            "no such file",
		`{ addrs: ["a:1"], db: -1 }`:                                                "want 0 or more",
		`{ addrs: ["a:1", "b:1"], db: 1 }`:                                          "a cluster has only 0",
		`{ addrs: ["a:1"], sentinel_password: env:REDIS_PASSWORD }`:                 "no name of a master",
		`{ addrs: ["a:1"], master_name: m, sentinel_password: env:OTHER_PASSWORD }`: "limiter.backend.sentinel_password: environment variable OTHER_PASSWORD is not set",
		`{ addrs: ["a:1"], master_name: m, sentinel_password: hunter2 }`:            "must say where the secret is",
	} {
		if _, err := parse(backend); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %q", backend, err, want)
		}
	}
}
