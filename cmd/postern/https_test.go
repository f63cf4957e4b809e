package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/config"
)

// writeCertificate makes a self-signed certificate for 127.0.0.1 and returns a pool that trusts it.
func writeCertificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "postern test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"api.example.com"},
		KeyUsage: x509.KeyUsageDigitalSignature, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, text := range map[string][]byte{
		"cert.pem": certificate,
		"key.pem":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	return pool
}

// TestHTTPS serves with certificate files: HTTP/2 and HTTP/1.1 over TLS, and a redirect from plain
// HTTP.
func TestHTTPS(t *testing.T) {
	dir := t.TempDir()
	pool := writeCertificate(t, dir)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("X-Forwarded-Proto"))
	}))
	defer upstream.Close()
	redirect := freeAddress(t)
	r := startProgramIn(t, dir, mainConfig(upstream.URL, "100/s")+"tls: { cert_file: cert.pem, key_file: key.pem }\n", redirect)
	key := r.generate(`{"kind":"api_key","name":"k","apis":["main"]}`)

	for _, protocol := range []string{"HTTP/2.0", "HTTP/1.1"} {
		t.Run(protocol, func(t *testing.T) {
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: protocol == "HTTP/2.0"}
			defer transport.CloseIdleConnections()
			req, err := http.NewRequest(http.MethodGet, r.gateway+"/x", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-API-Key", key.Secret)
			resp, text := do(t, &http.Client{Transport: transport}, req)
			if resp.StatusCode != http.StatusOK || resp.Proto != protocol || text != "https" {
				t.Errorf("got %d over %s, upstream was told %q; want 200 over %s and https", resp.StatusCode, resp.Proto, text, protocol)
			}
		})
	}

	t.Run("redirect", func(t *testing.T) {
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		req, err := http.NewRequest(http.MethodPost, "http://"+redirect+"/x?y=z", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, _ := do(t, client, req)
		if got, want := resp.Header.Get("Location"), r.gateway+"/x?y=z"; resp.StatusCode != http.StatusPermanentRedirect || got != want {
			t.Errorf("got %d to %q, want 308 to %q", resp.StatusCode, got, want)
		}
	})
}

// TestHTTPSCertificateIsExchanged puts another pair in the files while the program runs.
func TestHTTPSCertificateIsExchanged(t *testing.T) {
	dir := t.TempDir()
	first := writeCertificate(t, dir)
	r := startProgramIn(t, dir, "tls: { cert_file: cert.pem, key_file: key.pem }\nadmin: { tls: { cert_file: cert.pem, key_file: key.pem } }\n", "")
	shake := func(url string, pool *x509.CertPool) error {
		_, address, _ := strings.Cut(url, "://")
		conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: pool})
		if err == nil {
			conn.Close()
		}
		return err
	}
	for _, url := range []string{r.gateway, r.admin} {
		if err := shake(url, first); err != nil {
			t.Fatalf("%s: %v", url, err)
		}
	}
	second := writeCertificate(t, dir)
	deadline := time.Now().Add(30 * time.Second)
	for _, url := range []string{r.gateway, r.admin} {
		for tick := time.NewTicker(20 * time.Millisecond); shake(url, second) != nil; <-tick.C {
			if time.Now().After(deadline) {
				t.Fatalf("%s: the new pair is not served:\n%s", url, r.log)
			}
		}
		if shake(url, first) == nil {
			t.Errorf("%s: the old pair is served still", url)
		}
	}
}

// TestGatewayURL is what init prints to be called.
func TestGatewayURL(t *testing.T) {
	for _, tt := range []struct {
		tls     config.TLS
		address string
		want    string
	}{
		{config.TLS{}, ":8080", "http://127.0.0.1:8080"},
		{config.TLS{KeyPair: config.KeyPair{CertFile: "/cert.pem"}}, "10.0.0.7:8443", "https://10.0.0.7:8443"},
		{config.TLS{Domains: []config.Domain{"api.example.com"}}, ":443", "https://api.example.com"},
		{config.TLS{Domains: []config.Domain{"api.example.com"}}, ":8443", "https://api.example.com:8443"},
	} {
		if got := gatewayURL(&config.Config{TLS: tt.tls}, tt.address); got != tt.want {
			t.Errorf("%+v at %s: got %s, want %s", tt.tls, tt.address, got, tt.want)
		}
	}
}
