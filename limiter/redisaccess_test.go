//go:build realservers

package limiter_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/internal/socket"
	"postern/limiter"
)

// leastRights are what gateway.yaml says that Redis's user needs.
const leastRights = "~postern:* +evalsha +eval +time +getrange +set +setrange +hmget +hset +pexpire +ping"

// decides wants a limit of each kind to be counted, and a server that has forgotten the script to learn it.
func decides(t *testing.T, s *server, o limiter.RedisOptions) {
	t.Helper()
	o.Node, o.Budget, o.Wrap = "a", 5*time.Second, socket.Direct
	r, err := limiter.NewRedis(o)
	must(t, err)
	defer func() { must(t, r.Close()) }()
	must(t, r.Ping(t.Context()))
	now := time.Now().UTC()
	day := now.Truncate(24 * time.Hour)
	q := limiter.Query{Tag: "t", Cost: 1, Checks: []limiter.Check{
		{Counter: limiter.Counter{Level: limiter.Credential, Subject: "s"}, Limit: parse(t, "20/s")},
		{Counter: limiter.Counter{Level: limiter.Credential, Subject: "s"}, Limit: parse(t, "50/day"),
			Span: limiter.Span{Start: day.Add(-24 * time.Hour).UnixMicro(), End: day.Add(48 * time.Hour).UnixMicro()}},
	}}
	for i := range 40 { // a log that is cut, a full one, and an expiry that moves
		if i == 30 {
			must(t, s.ScriptFlush(t.Context()).Err())
		}
		var a limiter.Answer
		must(t, r.Decide(t.Context(), &q, &a))
		if a.Allowed != (i < 20) && i <= 20 {
			t.Errorf("decision %d: allowed %t", i, a.Allowed)
		}
	}
}

// TestRedisUser lets a user with the least rights count, and tells of one with too few.
func TestRedisUser(t *testing.T) {
	s := startRedis(t)
	for name, rights := range map[string]string{"app": leastRights, "mute": "~postern:* +time"} {
		args := []any{"ACL", "SETUSER", name, "on", ">secret", "resetchannels", "resetkeys", "-@all"}
		for _, right := range strings.Fields(rights) {
			args = append(args, right)
		}
		must(t, s.Do(t.Context(), args...).Err())
	}
	decides(t, s, limiter.RedisOptions{Addrs: []string{s.addr}, Username: "app", Password: "secret"})
	mute, err := limiter.NewRedis(limiter.RedisOptions{Addrs: []string{s.addr}, Username: "mute", Password: "secret", Node: "b"})
	must(t, err)
	defer func() { must(t, mute.Close()) }()
	if err := mute.Ping(t.Context()); err != nil {
		t.Errorf("a server that refuses to be pinged: %v", err)
	}
	must(t, s.Do(t.Context(), "ACL", "SETUSER", "app", "+select").Err())
	decides(t, s, limiter.RedisOptions{Addrs: []string{s.addr}, Username: "app", Password: "secret", DB: 3})
	must(t, s.Do(t.Context(), "SELECT", 0).Err())
}

// TestRedisTLS counts over TLS with a certificate of an own authority, and not with one nobody vouches for.
func TestRedisTLS(t *testing.T) {
	dir := t.TempDir()
	roots := selfSigned(t, dir)
	port := strconv.Itoa(freePort(t))
	s := startRedis(t, "--tls-port", port, "--tls-cert-file", filepath.Join(dir, "cert.pem"),
		"--tls-key-file", filepath.Join(dir, "key.pem"), "--tls-auth-clients", "no")
	addrs := []string{"127.0.0.1:" + port}
	decides(t, s, limiter.RedisOptions{Addrs: addrs, TLS: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}})
	for name, config := range map[string]*tls.Config{"the system's authorities": {MinVersion: tls.VersionTLS12}, "no TLS": nil} {
		r, err := limiter.NewRedis(limiter.RedisOptions{Addrs: addrs, TLS: config, Node: "b"})
		must(t, err)
		if err := r.Ping(t.Context()); err == nil {
			t.Errorf("%s: Redis was pinged", name)
		}
		must(t, r.Close())
	}
}

// selfSigned writes cert.pem and key.pem for loopback, and returns who vouches for it.
func selfSigned(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	must(t, os.WriteFile(filepath.Join(dir, "cert.pem"), cert, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	return roots
}
