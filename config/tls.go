package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"postern/internal/keys"
)

// TLS is how the gateway listener speaks TLS: with the certificate of two files, or with one that a
// CA gives for each domain (ACME, RFC 8555); zero for plain HTTP.
type TLS struct {
	KeyPair `yaml:",inline"`
	Domains []Domain  `yaml:"domains" default:"[]"`
	Email   Email     `yaml:"email" default:""`         // for the CA to write to; "" for none
	CA      Directory `yaml:"ca" default:"letsencrypt"` // never ""
	CARoot  Path      `yaml:"ca_root"`                  // PEM: who signs the CA's own certificate; "" for whom the system trusts
}

// On tells whether the gateway listener speaks TLS.
func (t TLS) On() bool { return t.CertFile != "" || len(t.Domains) > 0 }

// Names are the domains as plain texts.
func (t TLS) Names() []string {
	names := make([]string, len(t.Domains))
	for i, d := range t.Domains {
		names[i] = string(d)
	}
	return names
}

// Roots reads ca_root; nil when there is none.
func (t TLS) Roots() (*x509.CertPool, error) {
	if t.CARoot == "" {
		return nil, nil
	}
	text, err := os.ReadFile(string(t.CARoot))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no PEM certificate", t.CARoot)
	}
	return pool, nil
}

// Domain is a name that a certificate can be had for by showing that its web server is ours: lower
// case, no wildcard.
type Domain string

// Email is a plain mail address, or "".
type Email string

// Directory is the https URL of a CA's ACME directory.
type Directory string

const (
	letsEncrypt        = "https://acme-v02.api.letsencrypt.org/directory"
	letsEncryptStaging = "https://acme-staging-v02.api.letsencrypt.org/directory"
)

func (n *Domain) parse(_ *decoder, in string) error {
	host, wild := strings.CutPrefix(strings.ToLower(in), "*.")
	if wild && validHost(host) {
		return complaint{fmt.Sprintf("%s needs a proof in the DNS (DNS-01), which this version does not make", show(in)),
			"list each name, or name a certificate from elsewhere with cert_file and key_file"}
	}
	if ip, err := netip.ParseAddr(strings.Trim(in, "[]")); err == nil {
		return complaint{fmt.Sprintf("%s is an address", ip), "name a domain, as in api.example.com"}
	}
	host, err := checkHost(in)
	if err != nil {
		return err
	}
	if strings.Contains(host, "_") {
		return complaint{fmt.Sprintf("%s has an underscore, which no certificate can", show(in)), "name the domain as clients call it, as in api.example.com"}
	}
	*n = Domain(host)
	return nil
}

func (e *Email) parse(_ *decoder, in string) error {
	if in == "" {
		return nil
	}
	if a, err := mail.ParseAddress(in); err != nil || a.Address != in {
		return complaint{fmt.Sprintf("%s is not a mail address", show(in)), "write it as in ops@example.com"}
	}
	*e = Email(in)
	return nil
}

func (c *Directory) parse(_ *decoder, in string) error {
	const next = "write letsencrypt, letsencrypt-staging, or the URL of the CA's ACME directory, as in https://ca.example.com/acme/acme/directory"
	switch in {
	case "letsencrypt", "":
		*c = letsEncrypt
		return nil
	case "letsencrypt-staging":
		*c = letsEncryptStaging
		return nil
	}
	u, err := url.Parse(in)
	near := keys.Nearest(in, []string{"letsencrypt", "letsencrypt-staging"})
	switch {
	case near != "":
		return complaint{fmt.Sprintf("%s is not a CA", show(in)), fmt.Sprintf("did you mean %s?", near)}
	case err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "":
		return complaint{fmt.Sprintf("%s is not a CA", show(in)), next}
	case u.Scheme != "https":
		return complaint{fmt.Sprintf("a CA is asked over https, not %s", u.Scheme), next}
	}
	*c = Directory(in)
	return nil
}

func (d *decoder) checkTLS(c *Config) {
	d.checkDomains(c)
	d.checkKeyPair(path{"tls"}, c.TLS.KeyPair)
	d.checkKeyPair(path{"admin", "tls"}, c.Admin.TLS)
}

func (d *decoder) checkDomains(c *Config) {
	at := path{"tls"}
	if d.broken("tls", "domains") {
		return
	}
	for i, name := range c.TLS.Domains {
		if slices.Index(c.TLS.Domains, name) < i {
			d.wrong(at.to("domains").to(index(i)), fmt.Sprintf("%s stands there twice", name), "name it once")
		}
	}
	if len(c.TLS.Domains) == 0 {
		for _, s := range []struct {
			name string
			said bool
		}{{"email", c.TLS.Email != ""}, {"ca", c.TLS.CA != letsEncrypt}, {"ca_root", c.TLS.CARoot != ""}} {
			if s.said && !d.broken("tls", s.name) {
				d.wrongKey(at.to(s.name), "is for certificates from a CA, and no domain is named", "list the domains under tls.domains, or remove it")
			}
		}
		return
	}
	if c.TLS.CertFile != "" || c.TLS.KeyFile != "" {
		d.wrongKey(at.to("domains"), "stands beside cert_file and key_file, and only one of them can serve", "remove one or the other")
	}
	if _, err := c.TLS.Roots(); err != nil && !d.broken("tls", "ca_root") {
		d.wrong(at.to("ca_root"), fmt.Sprintf("the CA's root cannot be used: %v", err), "it is a PEM file; relative paths start at the folder of "+d.file)
	}
}

// checkKeyPair reads the files, so that a wrong one is told here and not by the first handshake.
func (d *decoder) checkKeyPair(p path, k KeyPair) {
	switch {
	case d.broken(p.to("cert_file")...) || d.broken(p.to("key_file")...) || k == KeyPair{}:
	case k.CertFile == "":
		d.wrongKey(p, "has a key_file but no cert_file", "name both")
	case k.KeyFile == "":
		d.wrongKey(p, "has a cert_file but no key_file", "name both")
	default:
		if _, err := tls.LoadX509KeyPair(string(k.CertFile), string(k.KeyFile)); err != nil {
			d.wrong(p.to("cert_file"), fmt.Sprintf("the certificate and its key cannot be used: %v", err), "both are PEM files; relative paths start at the folder of "+d.file)
		}
	}
}
