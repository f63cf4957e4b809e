package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"time"
)

// httpClient is for calls to the admin API. It trusts the authorities of the system and the one that
// --admin-ca or POSTERN_ADMIN_CA names.
func (g *globals) httpClient(timeout time.Duration) (*http.Client, error) {
	file, from := g.adminCA, "--admin-ca"
	if file == "" {
		file, from = lookupEnv(g.env, "POSTERN_ADMIN_CA"), "POSTERN_ADMIN_CA"
	}
	if file == "" {
		return &http.Client{Timeout: timeout}, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, usageError("%s: %w", from, err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(text) {
		return nil, &failure{code: exitUsage, err: fmt.Errorf("%s: %s holds no certificate in PEM", from, file),
			next: "Name the certificate of the authority, or of the server itself where it signed its own."}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return &http.Client{Timeout: timeout, Transport: transport}, nil
}
