//go:build realservers

package main

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func acmeUpstream(t *testing.T) string {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Proto, " ", r.Header.Get("X-Forwarded-Proto"))
	}))
	t.Cleanup(upstream.Close)
	return upstream.URL
}

// TestACMECertificate obtains a certificate in each of the two ways, with the other one out of reach,
// and in each of the two places where it is kept.
func TestACMECertificate(t *testing.T) {
	const declared = "store: none\n"
	for _, way := range []struct{ name, http, more string }{
		{"http-01", "redirect", ""},
		{"http-01 without a store", "redirect", declared},
		{"tls-alpn-01", "none", ""},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			a := newACMEProgram(t)
			http01, tlsALPN, listenHTTP := a.http, freeAddress(t), a.http
			if way.http == "none" {
				http01, tlsALPN, listenHTTP = freeAddress(t), a.gateway, "none"
			}
			ca := newPebble(t, http01, tlsALPN, 24*time.Hour)
			ca.start()
			roots := ca.roots()
			a.configure(ca, acmeUpstream(t), listenHTTP, way.more)
			a.start()
			first := a.awaitCertificate(roots, time.Minute)
			if len(first.DNSNames) != 1 || first.DNSNames[0] != acmeDomain {
				t.Errorf("the certificate is for %q, want %s alone", first.DNSNames, acmeDomain)
			}
			wantHTTPS(t, a, roots)
			wantRefusedNames(t, a, roots)
			if listenHTTP != "none" {
				wantRedirect(t, a)
			}
			if got := a.readyz(); !strings.Contains(got, `"degraded":[]`) {
				t.Errorf("readyz says %s, want nothing degraded", got)
			}
			wantExpiryMetric(t, a, first.NotAfter)
			wantNoPrivateKey(t, a, way.more == declared)

			// A second start asks nobody.
			a.stop()
			ca.stop()
			before := len(a.log.String())
			a.start()
			if again := a.awaitCertificate(roots, 5*time.Second); !again.Equal(first) {
				t.Error("after a restart another certificate is served")
			}
			a.stop()
			if after := a.log.String()[before:]; strings.Contains(after, `"level":"ERROR"`) || strings.Contains(after, "obtaining") {
				t.Errorf("the second start tells of an error, or of a new certificate:\n%s", after)
			}
			if n := ca.issued(); n != 1 {
				t.Errorf("the CA gave out %d certificates, want 1", n)
			}
		})
	}
}

// wantHTTPS calls through the gateway over HTTP/2.
func wantHTTPS(t *testing.T, a *acmeProgram, roots *x509.CertPool) {
	t.Helper()
	resp, err := a.client(roots).Get("https://" + a.gateway + "/x")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.Proto != "HTTP/2.0" || resp.StatusCode != http.StatusOK || string(text) != "HTTP/1.1 https" {
		t.Errorf("got %s over %s: %q, %v; want 200 over HTTP/2.0 and the upstream to be told https", resp.Status, resp.Proto, text, err)
	}
}

// wantRefusedNames: nothing is served, let alone obtained, because a stranger names it.
func wantRefusedNames(t *testing.T, a *acmeProgram, roots *x509.CertPool) {
	t.Helper()
	for _, name := range []string{"other.example.com", "x." + acmeDomain, "", "127.0.0.1"} {
		_, err := a.handshake(name, roots)
		if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("handshake for %q: got error %v, want unrecognized name", name, err)
		}
	}
	if _, err := a.handshake(strings.ToUpper(acmeDomain), roots); err != nil {
		t.Errorf("handshake in capitals: %v", err)
	}
}

// wantRedirect: everything that is not the CA's question of the moment goes to HTTPS.
func wantRedirect(t *testing.T, a *acmeProgram) {
	t.Helper()
	for _, path := range []string{"/x?y=z", "/.well-known/acme-challenge/token", "/.well-known/acme-challenge/"} {
		req, err := http.NewRequest(http.MethodGet, "http://"+a.http+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = acmeDomain
		resp, _ := do(t, a.client(nil), req)
		_, port, _ := strings.Cut(a.gateway, ":")
		if got, want := resp.Header.Get("Location"), "https://"+acmeDomain+":"+port+path; resp.StatusCode != http.StatusPermanentRedirect || got != want {
			t.Errorf("%s: got %d to %q, want 308 to %q", path, resp.StatusCode, got, want)
		}
	}
}

func wantExpiryMetric(t *testing.T, a *acmeProgram, ends time.Time) {
	t.Helper()
	resp, err := http.Get("http://" + a.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("postern_certificate_expiry_timestamp_seconds{domain=%q} %g\n", acmeDomain, float64(ends.Unix()))
	if !bytes.Contains(text, []byte(want)) {
		t.Errorf("metrics lack %q", want)
	}
}

// wantNoPrivateKey looks for keys in every file that the program has written. In files of their own,
// without a store, nobody else can read them.
func wantNoPrivateKey(t *testing.T, a *acmeProgram, inFiles bool) {
	t.Helper()
	found := 0
	err := filepath.WalkDir(filepath.Join(a.dir, "data"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(text, []byte("PRIVATE KEY")) {
			return err
		}
		found++
		info, err := d.Info()
		if err == nil && (!inFiles || info.Mode().Perm() != 0o600) {
			t.Errorf("%s, with mode %s, shows a private key", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if inFiles != (found > 0) {
		t.Errorf("found %d private keys in files, want some: %t", found, inFiles)
	}
}

// TestACMERenewal renews short-lived certificates while clients shake hands all the time, none of
// which may fail. POSTERN_LONG=1 takes certificates of 120 s.
func TestACMERenewal(t *testing.T) {
	t.Parallel()
	valid, renewals := 24*time.Second, 2
	if os.Getenv("POSTERN_LONG") == "1" {
		valid = 120 * time.Second
	}
	a := newACMEProgram(t)
	ca := newPebble(t, a.http, a.gateway, valid)
	ca.start()
	roots := ca.roots()
	a.configure(ca, acmeUpstream(t), a.http, "")
	a.start()
	a.awaitCertificate(roots, time.Minute)

	var (
		mu      sync.Mutex
		serials = map[string]bool{}
		calls   atomic.Int64
		done    = make(chan struct{})
		once    sync.Once
		wait    sync.WaitGroup
	)
	deadline := time.Now().Add(time.Duration(renewals+2) * valid)
	for range 4 {
		wait.Go(func() {
			client := a.client(roots)
			for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
				select {
				case <-done:
					return
				default:
				}
				resp, err := client.Get("https://" + a.gateway + "/")
				if err != nil {
					t.Errorf("after %d calls: %v", calls.Load(), err)
					return
				}
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Errorf("after %d calls: %s %v", calls.Load(), resp.Status, err)
					return
				}
				calls.Add(1)
				mu.Lock()
				serials[resp.TLS.PeerCertificates[0].SerialNumber.String()] = true
				seen := len(serials)
				mu.Unlock()
				if seen > renewals || time.Now().After(deadline) {
					once.Do(func() { close(done) })
				}
			}
		})
	}
	wait.Wait()
	t.Logf("%d handshakes and calls over %d certificates of %s", calls.Load(), len(serials), valid)
	if len(serials) <= renewals {
		t.Errorf("clients saw %d certificates, want more than %d\n%s", len(serials), renewals, a.log)
	}
	a.stop()
}

// TestACMEAway starts while the CA is away: everything but TLS serves. When the CA comes back, so does
// the certificate, and when it goes again before a renewal, the old certificate stays and people are
// told.
func TestACMEAway(t *testing.T) {
	t.Parallel()
	a := newACMEProgram(t)
	ca := newPebble(t, a.http, a.gateway, 24*time.Second)
	a.configure(ca, acmeUpstream(t), a.http, "")
	a.start()
	awaitLog(t, a.log, "will retry")
	if got := a.readyz(); !strings.HasPrefix(got, "200 ") || !strings.Contains(got, "there is no certificate for "+acmeDomain+" yet") {
		t.Errorf("readyz says %s, want 200 and that the certificate is missing", got)
	}
	if _, err := a.handshake(acmeDomain, nil); err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("handshake without a certificate: got error %v, want the alert internal error", err)
	}
	awaitLog(t, a.log, "TLS handshakes fail, because there is no certificate yet")
	wantRedirect(t, a)
	wantExpiryMetric(t, a, time.Unix(0, 0))

	ca.start()
	first := a.awaitCertificate(ca.roots(), 2*time.Minute) // the second try comes after a minute
	ca.stop()
	awaitLog(t, a.log, "a third of a certificate's life is left, and its renewal fails")
	if got := a.readyz(); !strings.HasPrefix(got, "200 ") || !strings.Contains(got, "and its renewal fails") {
		t.Errorf("readyz says %s, want 200 and that the renewal fails", got)
	}
	awaitLog(t, a.log, "a tenth of a certificate's life is left")
	roots := x509.NewCertPool()
	roots.AddCert(first)
	if now, err := a.handshake(acmeDomain, roots); err != nil || !now.Equal(first) {
		t.Errorf("with the CA away: %v, want the certificate that is there", err)
	}
	awaitLog(t, a.log, "a certificate is not valid any more")
	a.stop()
}

// TestACMEKilled kills the program while it obtains a certificate: the next one is not kept out for
// longer than the lock's lease, and gets it.
func TestACMEKilled(t *testing.T) {
	t.Parallel()
	a := newACMEProgram(t)
	ca := newPebble(t, a.http, a.gateway, 24*time.Hour)
	a.configure(ca, acmeUpstream(t), a.http, "")
	a.start()
	awaitLog(t, a.log, "will retry") // it holds the lock now, until the CA answers
	if err := a.process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var exit interface{ ExitCode() int }
	if err := a.process.Wait(); !errors.As(err, &exit) {
		t.Fatalf("killed: %v", err)
	}
	if status, ok := a.process.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("it ended by itself: %v", a.process.ProcessState)
	}
	ca.start()
	a.start()
	a.awaitCertificate(ca.roots(), time.Minute)
	a.stop()
}
