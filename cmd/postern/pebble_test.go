//go:build realservers

package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pebble is Let's Encrypt's CA for tests, and a DNS server that says 127.0.0.1 to everything, both on
// free ports.
type pebble struct {
	t          *testing.T
	dir        string // holds config.json, cert.pem and key.pem
	address    string
	management string
	dns        string
	client     *http.Client // trusts its HTTPS certificate
	process    *exec.Cmd
	log        logBuffer
}

// newPebble prepares a CA that is not running yet. It calls domains at the two addresses' ports, as
// others at 80 and 443, and its certificates are valid for so long.
func newPebble(t *testing.T, http01, tlsALPN string, valid time.Duration) *pebble {
	t.Helper()
	p := &pebble{t: t, dir: t.TempDir(), address: freeAddress(t), management: freeAddress(t), dns: freeAddress(t)}
	pool := writeCertificate(t, p.dir)
	p.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": p.address, "managementListenAddress": p.management,
		"certificate": filepath.Join(p.dir, "cert.pem"), "privateKey": filepath.Join(p.dir, "key.pem"),
		"httpPort": portOf(t, http01), "tlsPort": portOf(t, tlsALPN),
		"keyAlgorithm": "ecdsa", "retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles": map[string]any{"default": map[string]any{"description": "all there is", "validityPeriod": int(valid.Seconds())}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "config.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	names := exec.Command("pebble-challtestsrv", "-dnsserver", p.dns, "-management", freeAddress(t),
		"-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "")
	names.Stdout, names.Stderr = &p.log, &p.log
	p.run(names)
	return p
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return a.Port
}

// run starts a process that ends with the test.
func (p *pebble) run(cmd *exec.Cmd) {
	p.t.Helper()
	if err := cmd.Start(); err != nil {
		p.t.Fatalf("start %s: %v (scripts/check.sh says how to install it)", cmd.Path, err)
	}
	p.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
}

// start runs the CA and returns when it answers. Every certificate has to be proved anew.
func (p *pebble) start() {
	p.t.Helper()
	p.process = exec.Command("pebble", "-config", filepath.Join(p.dir, "config.json"), "-dnsserver", p.dns)
	p.process.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_AUTHZREUSE=0")
	p.process.Stdout, p.process.Stderr = &p.log, &p.log
	p.run(p.process)
	p.get("https://" + p.address + "/dir")
}

// stop kills the CA: nobody answers at its address any more.
func (p *pebble) stop() {
	_ = p.process.Process.Kill() // it may have ended
	_ = p.process.Wait()
}

// get asks until there is an answer.
func (p *pebble) get(url string) []byte {
	p.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		resp, err := p.client.Get(url)
		if err == nil {
			text, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusOK {
				p.t.Fatalf("%s: %s %v", url, resp.Status, err)
			}
			return text
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("the CA does not answer: %v\n%s", err, p.log.String())
		}
	}
}

// roots trust what the CA signs. It makes a new root each time it starts.
func (p *pebble) roots() *x509.CertPool {
	p.t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(p.get("https://" + p.management + "/roots/0")) {
		p.t.Fatal("the CA's root is no certificate")
	}
	return pool
}

// issued counts the certificates that the CA has given out.
func (p *pebble) issued() int { return strings.Count(p.log.String(), "Issued certificate serial") }

// acmeProgram is the real program in a process of its own, for certificates of api.example.com.
type acmeProgram struct {
	t                    *testing.T
	dir                  string
	gateway, admin, http string // addresses
	log                  *logBuffer
	process              *exec.Cmd
}

const acmeDomain = "api.example.com"

// newACMEProgram prepares addresses and a folder; configure writes the configuration.
func newACMEProgram(t *testing.T) *acmeProgram {
	t.Helper()
	return &acmeProgram{t: t, dir: t.TempDir(), gateway: freeAddress(t), admin: freeAddress(t), http: freeAddress(t), log: &logBuffer{}}
}

// configure writes gateway.yaml, with nothing of tls but what a person must say, and a root, because
// the CA is no public one. listenHTTP is listen.http.
func (a *acmeProgram) configure(ca *pebble, upstream, listenHTTP, more string) {
	a.t.Helper()
	text := fmt.Sprintf(`version: 1
listen: { gateway: "%s", admin: "%s", http: "%s" }
drain: { delay: 0s, timeout: 2s }
tls: { domains: [%s], email: ops@example.com, ca: "https://%s/dir", ca_root: "%s" }
routes:
  all: { match: { path: / }, upstream: { targets: ["%s"] }, public: true, limits: [100000/s] }
%s`, a.gateway, a.admin, listenHTTP, acmeDomain, ca.address, filepath.Join(ca.dir, "cert.pem"), upstream, more)
	if err := os.WriteFile(filepath.Join(a.dir, "gateway.yaml"), []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
	init := exec.Command("postern", "init", "--config", "gateway.yaml")
	init.Dir = a.dir
	if out, err := init.CombinedOutput(); err != nil {
		a.t.Fatalf("init: %v\n%s", err, out)
	}
}

// start runs the program and returns when it is ready.
func (a *acmeProgram) start() {
	a.t.Helper()
	a.process = exec.Command("postern", "run")
	a.process.Dir = a.dir
	a.process.Stderr = a.log
	if err := a.process.Start(); err != nil {
		a.t.Fatal(err)
	}
	process := a.process
	a.t.Cleanup(func() {
		_ = process.Process.Kill() // it may have ended
		_ = process.Wait()
	})
	waitUntilReady(a.t, "http://"+a.admin, a.log)
}

// stop ends it as an operator does, and wants exit code 0.
func (a *acmeProgram) stop() {
	a.t.Helper()
	if err := a.process.Process.Signal(os.Interrupt); err != nil {
		a.t.Fatal(err)
	}
	if err := a.process.Wait(); err != nil {
		a.t.Errorf("the program ended with %v, want exit code 0\n%s", err, a.log)
	}
}

// handshake connects with TLS under a name and returns the server's certificate.
func (a *acmeProgram) handshake(name string, roots *x509.CertPool) (*x509.Certificate, error) {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	conn, err := tls.DialWithDialer(dialer, "tcp", a.gateway, &tls.Config{ServerName: name, RootCAs: roots, InsecureSkipVerify: name == ""})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}

// awaitCertificate returns the first certificate of the domain.
func (a *acmeProgram) awaitCertificate(roots *x509.CertPool, patience time.Duration) *x509.Certificate {
	a.t.Helper()
	deadline := time.Now().Add(patience)
	for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
		certificate, err := a.handshake(acmeDomain, roots)
		if err == nil {
			return certificate
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("no certificate after %s: %v\n%s", patience, err, a.log)
		}
	}
}

// client calls the domain over HTTPS.
func (a *acmeProgram) client(roots *x509.CertPool) *http.Client {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: acmeDomain}, ForceAttemptHTTP2: true, DisableKeepAlives: true,
	}
	a.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// readyz is what the admin listener says of the program's health.
func (a *acmeProgram) readyz() string {
	a.t.Helper()
	resp, err := http.Get("http://" + a.admin + "/readyz")
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return resp.Status + " " + string(text)
}
