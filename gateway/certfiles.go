package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// CertificateFiles serves a certificate and key from two files, and takes up what others put there.
// Safe for concurrent use.
type CertificateFiles struct {
	setting           string // of the configuration, for messages
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu     sync.RWMutex
	served *tls.Certificate
	used   pairText // what served was made of
	seen   pairText // what stood there at the last look
	broken string   // why what is in the files cannot be used; "": it is in use
	told   certificateLife
}

// pairText is what stood in the two files.
type pairText struct{ cert, key []byte }

func (a pairText) equal(b pairText) bool {
	return bytes.Equal(a.cert, b.cert) && bytes.Equal(a.key, b.key)
}

// filesLook is how often the files are read. They are compared by what is in them: a time stamp tells
// nothing where files are swapped by a link, as Kubernetes does.
const filesLook = 2 * time.Second

// LoadCertificateFiles reads a PEM certificate, first itself and then its chain, and its PEM key.
// setting says in messages which pair it is.
func LoadCertificateFiles(setting, certFile, keyFile string, log *slog.Logger) (*CertificateFiles, error) {
	f := &CertificateFiles{setting: setting, certFile: certFile, keyFile: keyFile, log: log, now: time.Now}
	text, err := f.read()
	if err != nil {
		return nil, fmt.Errorf("%s: load certificate: %w", setting, err)
	}
	if f.served, err = parsePair(text); err != nil {
		return nil, fmt.Errorf("%s: load certificate: %w", setting, err)
	}
	f.used, f.seen = text, text
	return f, nil
}

func (f *CertificateFiles) read() (text pairText, err error) {
	if text.cert, err = os.ReadFile(f.certFile); err != nil {
		return text, err
	}
	text.key, err = os.ReadFile(f.keyFile)
	return text, err
}

func parsePair(text pairText) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(text.cert, text.key)
	if err != nil {
		return nil, err
	}
	if pair.Leaf == nil { // an old GODEBUG setting leaves it out
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, err
		}
	}
	return &pair, nil
}

// TLS is what a listener serves with.
func (f *CertificateFiles) TLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		f.mu.RLock()
		defer f.mu.RUnlock()
		return f.served, nil
	}}
}

// Run looks at the files until ctx ends, and returns nil.
func (f *CertificateFiles) Run(ctx context.Context) error {
	tick := time.NewTicker(filesLook)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f.look(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// look takes up a pair that is new and whole. Files that are still being written, one after the
// other, are given until the next look before they count as broken; then the old pair stays.
func (f *CertificateFiles) look(ctx context.Context) {
	f.tell(ctx)
	text, err := f.read()
	f.mu.Lock()
	defer f.mu.Unlock()
	settled := text.equal(f.seen)
	f.seen = text
	if err == nil && text.equal(f.used) {
		f.broken = "" // also when the old pair was put back
		return
	}
	pair := f.served
	if err == nil {
		pair, err = parsePair(text)
	}
	switch {
	case err == nil:
		f.served, f.used, f.broken, f.told = pair, text, "", certificateFresh
		f.log.InfoContext(ctx, "a certificate was taken up", "setting", f.setting, "file", f.certFile, "ends", ends(pair))
	case settled && f.broken != err.Error():
		f.broken = err.Error()
		f.log.ErrorContext(ctx, "a certificate or its key changed and cannot be used; the old pair stays", "setting", f.setting,
			"cert_file", f.certFile, "key_file", f.keyFile, "error", err, "old_ends", ends(f.served))
	}
}

func ends(c *tls.Certificate) string { return c.Leaf.NotAfter.UTC().Format(time.RFC3339) }

// tell logs, once, that a tenth of the certificate's life is left, and that it has ended. Earlier is
// no news: we do not know when whoever writes the files renews.
func (f *CertificateFiles) tell(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	life := lifeOf(f.served.Leaf, f.now())
	if life < certificateClosing || life <= f.told {
		return
	}
	f.told = life
	what := "a tenth of a certificate's life is left: put a new one in its place"
	if life == certificateOver {
		what = "a certificate is not valid any more, and clients refuse it: put a new one in its place"
	}
	f.log.ErrorContext(ctx, what, "setting", f.setting, "file", f.certFile, "ends", ends(f.served))
}

// Degraded tells what is wrong with the pair, a line each.
func (f *CertificateFiles) Degraded() []string {
	f.mu.RLock()
	defer f.mu.RUnlock()
	var degraded []string
	if f.broken != "" {
		degraded = append(degraded, f.setting+": the certificate files changed and cannot be used, so the old ones serve; the log says why")
	}
	if line := degradedLine(nameOf(f.served.Leaf), f.served.Leaf, f.now(), false); line != "" {
		degraded = append(degraded, line)
	}
	return degraded
}

// Expiries tells when the certificate ends, under its first name.
func (f *CertificateFiles) Expiries() map[string]time.Time {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return map[string]time.Time{nameOf(f.served.Leaf): f.served.Leaf.NotAfter}
}

// nameOf is what a certificate is called in metrics and messages.
func nameOf(c *x509.Certificate) string {
	switch {
	case len(c.DNSNames) > 0:
		return c.DNSNames[0]
	case len(c.IPAddresses) > 0:
		return c.IPAddresses[0].String()
	}
	return c.Subject.CommonName
}
