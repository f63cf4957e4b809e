package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var certificateBegin = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// makePair makes a certificate of 30 days and its key, in PEM.
func makePair(t *testing.T, serial int64) pairText {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{"api.example.com"},
		NotBefore: certificateBegin, NotAfter: certificateBegin.Add(30 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pairText{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}
}

// pairFiles is a pair on disk and who serves it.
type pairFiles struct {
	t     *testing.T
	dir   string
	files *CertificateFiles
	clock *clock
	log   *lockedBuffer
}

func openPair(t *testing.T, text pairText) *pairFiles {
	t.Helper()
	p := &pairFiles{t: t, dir: t.TempDir(), clock: newClock(), log: &lockedBuffer{}}
	p.write(text)
	files, err := LoadCertificateFiles("tls", filepath.Join(p.dir, "cert"), filepath.Join(p.dir, "key"), slog.New(slog.NewTextHandler(p.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	files.now = p.clock.now
	p.files = files
	return p
}

func (p *pairFiles) write(text pairText) {
	p.t.Helper()
	for name, b := range map[string][]byte{"cert": text.cert, "key": text.key} {
		if err := os.WriteFile(filepath.Join(p.dir, name), b, 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
}

// serial is that of the certificate which handshakes get.
func (p *pairFiles) serial() int64 {
	p.t.Helper()
	c, err := p.files.TLS().GetCertificate(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return c.Leaf.SerialNumber.Int64()
}

func (p *pairFiles) wantLog(words string, times int) {
	p.t.Helper()
	if n := strings.Count(p.log.String(), words); n != times {
		p.t.Errorf("the log says %q %d times, want %d:\n%s", words, n, times, p.log.String())
	}
}

func TestCertificateFilesAreExchanged(t *testing.T) {
	first, second := makePair(t, 1), makePair(t, 2)
	p := openPair(t, first)
	p.files.look(t.Context())
	p.wantLog("taken up", 0)

	// Written one after the other: no alarm in between.
	p.write(pairText{cert: second.cert, key: first.key})
	p.files.look(t.Context())
	if got := p.serial(); got != 1 {
		t.Errorf("half exchanged: serving %d, want 1", got)
	}
	p.write(second)
	p.files.look(t.Context())
	if got := p.serial(); got != 2 {
		t.Errorf("exchanged: serving %d, want 2", got)
	}
	p.wantLog("taken up", 1)
	p.wantLog("ERROR", 0)
	if d := p.files.Degraded(); len(d) != 0 {
		t.Errorf("got degraded %q, want none", d)
	}
}

func TestBrokenCertificateFilesChangeNothing(t *testing.T) {
	first, second := makePair(t, 1), makePair(t, 2)
	tests := []struct {
		name  string
		spoil func(p *pairFiles)
	}{
		{"key of another", func(p *pairFiles) { p.write(pairText{cert: second.cert, key: first.key}) }},
		{"no PEM", func(p *pairFiles) { p.write(pairText{cert: []byte("x"), key: first.key}) }},
		{"empty", func(p *pairFiles) { p.write(pairText{}) }},
		{"gone", func(p *pairFiles) { _ = os.Remove(filepath.Join(p.dir, "key")) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := openPair(t, first)
			tt.spoil(p)
			for range 4 {
				p.files.look(t.Context())
			}
			if got := p.serial(); got != 1 {
				t.Errorf("serving %d, want the old one", got)
			}
			p.wantLog("cannot be used; the old pair stays", 1)
			if d := p.files.Degraded(); len(d) != 1 || !strings.Contains(d[0], "tls: ") {
				t.Errorf("got degraded %q, want one line that names the setting", d)
			}
			if strings.Contains(p.log.String(), "PRIVATE KEY") {
				t.Error("the log shows a key")
			}
			// Either way out: the old pair again, or a good new one.
			p.write(first)
			p.files.look(t.Context())
			if d := p.files.Degraded(); len(d) != 0 || p.serial() != 1 {
				t.Errorf("old pair back: got degraded %q, serving %d", d, p.serial())
			}
			tt.spoil(p)
			p.files.look(t.Context())
			p.files.look(t.Context())
			p.write(second)
			p.files.look(t.Context())
			if d := p.files.Degraded(); len(d) != 0 || p.serial() != 2 {
				t.Errorf("new pair: got degraded %q, serving %d", d, p.serial())
			}
		})
	}
}

// TestCertificateFilesEnd tells once that a tenth is left and once that it is over; a new pair begins
// anew.
func TestCertificateFilesEnd(t *testing.T) {
	p := openPair(t, makePair(t, 1))
	const day = 24 * time.Hour
	for _, tt := range []struct {
		at            time.Duration
		closing, over int // log lines so far
		degraded      string
	}{
		{11 * day, 0, 0, ""}, {26 * day, 0, 0, ""}, {27 * day, 1, 0, "has not been renewed"}, {29 * day, 1, 0, "has not been renewed"},
		{30 * day, 1, 1, "is not valid"}, {31 * day, 1, 1, "is not valid"},
	} {
		p.clock.advance(certificateBegin.Add(tt.at).Sub(p.clock.now()))
		p.files.look(t.Context())
		p.wantLog("a tenth of a certificate", tt.closing)
		p.wantLog("not valid any more", tt.over)
		if got := strings.Join(p.files.Degraded(), "; "); (tt.degraded == "") != (got == "") || !strings.Contains(got, tt.degraded) {
			t.Errorf("after %s: got degraded %q, want %q", tt.at, got, tt.degraded)
		}
	}
	if got, want := p.files.Expiries()["api.example.com"], certificateBegin.Add(30*day); !got.Equal(want) {
		t.Errorf("got the end %s, want %s", got, want)
	}
}

func TestCertificateFilesMustLoadAtFirst(t *testing.T) {
	dir := t.TempDir()
	_, err := LoadCertificateFiles("admin.tls", filepath.Join(dir, "none"), filepath.Join(dir, "none"), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "admin.tls: load certificate") {
		t.Errorf("got error %v, want one that names the setting", err)
	}
}
