package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"path/filepath"
	"time"

	"postern/gateway"
)

// certificates is where the certificates of a TLS listener come from: two files, or a CA.
type certificates interface {
	TLS() *tls.Config
	// Run keeps them up to date until ctx ends.
	Run(ctx context.Context) error
	// Degraded tells what is wrong with them, a line each.
	Degraded() []string
	// Expiries tells when each ends, by domain; the zero time where there is none yet.
	Expiries() map[string]time.Time
}

var (
	_ certificates = (*gateway.CertificateFiles)(nil)
	_ certificates = (*gateway.ManagedCertificates)(nil)
)

// openCertificates makes ready what the listeners serve TLS with. It needs the bound listeners: a CA
// calls at their ports.
func (p *program) openCertificates() error {
	t := p.cfg.TLS
	switch {
	case t.CertFile != "":
		files, err := gateway.LoadCertificateFiles("tls", string(t.CertFile), string(t.KeyFile), p.log)
		if err != nil {
			return err
		}
		p.certificates = append(p.certificates, files)
		p.gatewayTLS = files.TLS()
	case len(t.Domains) > 0:
		managed, err := p.manageCertificates()
		if err != nil {
			return fmt.Errorf("tls: %w", err)
		}
		p.certificates = append(p.certificates, managed)
		p.managed, p.gatewayTLS = managed, managed.TLS()
	}
	if a := p.cfg.Admin.TLS; a.CertFile != "" {
		files, err := gateway.LoadCertificateFiles("admin.tls", string(a.CertFile), string(a.KeyFile), p.log)
		if err != nil {
			return err
		}
		p.certificates = append(p.certificates, files)
		p.adminTLS = files.TLS()
	}
	return nil
}

func (p *program) manageCertificates() (*gateway.ManagedCertificates, error) {
	roots, err := p.cfg.TLS.Roots()
	if err != nil {
		return nil, fmt.Errorf("read ca_root: %w", err)
	}
	o := gateway.ManagedOptions{
		Domains: p.cfg.TLS.Names(), Email: string(p.cfg.TLS.Email), CA: string(p.cfg.TLS.CA), Roots: roots,
		Folder: filepath.Join(string(p.cfg.DataDir), "certificates"),
		TLS:    p.gatewayListener.Addr().String(), Log: p.log,
	}
	if p.redirectListener != nil {
		o.HTTP = p.redirectListener.Addr().String()
	}
	if p.install.store != nil {
		o.Store, o.Sealer = p.install.store, p.install.vault
	}
	return gateway.NewManagedCertificates(o)
}

// prover answers a CA's requests on the plain listener; nil when there is no CA.
func (p *program) prover() gateway.Prover {
	if p.managed == nil {
		return nil
	}
	return p.managed.Prove
}
