package gateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
)

// ManagedOptions are what ManagedCertificates is built from.
type ManagedOptions struct {
	Domains []string       // lower case, no wildcards; each gets a certificate of its own
	Email   string         // for the CA; "" for none
	CA      string         // URL of an ACME directory (RFC 8555)
	Roots   *x509.CertPool // who may sign the CA's own certificate; nil: those of the system
	// Store and Sealer keep certificates, keys and accounts. With a nil Store they are files under
	// Folder, which nobody else can read.
	Store  CertStore
	Sealer BlobSealer
	Folder string
	// TLS and HTTP are the listeners' addresses, whose ports the CA reaches as 443 and 80. With an
	// HTTP of "" nothing is proved over plain HTTP.
	TLS  string
	HTTP string
	Log  *slog.Logger
	Now  func() time.Time // nil: time.Now
}

// ManagedCertificates obtains certificates from an ACME CA and renews them. TLS is what listeners
// serve with, Run does the work, and Close ends what Run left. Safe for concurrent use.
type ManagedCertificates struct {
	domains []string
	log     *slog.Logger
	now     func() time.Time
	store   *certStore // nil: files
	cache   *certmagic.Cache
	options certmagic.CacheOptions
	config  *certmagic.Config
	wake    chan struct{} // something changed: look at the certificates now
	close   func()

	mu     sync.Mutex
	states map[string]*managedState // by domain
}

// managedState is what is known of a domain beside its certificate.
type managedState struct {
	failing  bool            // the last attempt to obtain or renew failed
	told     certificateLife // up to which part of its life the log has told that it is not renewed
	refusals time.Time       // when the log last told that handshakes fail
}

const (
	// renewalShare of a certificate's life is left when it is renewed, unless its CA says otherwise
	// (RFC 9773).
	renewalShare = 1.0 / 3
	// longestLook and shortestLook bound how often certificates are looked at.
	longestLook  = 10 * time.Minute
	shortestLook = time.Second
	// dormant keeps certmagic's own clock still. What it begins cannot be told to stop, so that it would
	// hold up the end of the program.
	dormant = 100 * 365 * 24 * time.Hour
	// obtainTimeout is how long one attempt may take.
	obtainTimeout = 90 * time.Second
	// obtainAgain is the pause after certmagic gave up, or the store failed.
	obtainAgain = time.Minute
	// releasePatience is how long Close waits for work that was told to stop.
	releasePatience = 2 * time.Second
)

// NewManagedCertificates prepares everything and asks nobody yet.
func NewManagedCertificates(o ManagedOptions) (*ManagedCertificates, error) {
	m := &ManagedCertificates{
		domains: slices.Clone(o.Domains), log: o.Log, now: o.Now,
		wake: make(chan struct{}, 1), states: make(map[string]*managedState),
	}
	if m.now == nil {
		m.now = time.Now
	}
	for _, d := range m.domains {
		m.states[d] = &managedState{}
	}
	var storage certmagic.Storage = &certmagic.FileStorage{Path: o.Folder}
	if o.Store != nil {
		m.store = newCertStore(o.Store, o.Sealer, o.Log)
		storage = m.store
	}
	zap := newZapLogger(o.Log)
	m.options = certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return m.config, nil },
		RenewCheckInterval: dormant, Logger: zap,
	}
	issuer, err := acmeIssuer(o)
	if err != nil {
		return nil, err
	}
	issuer.Logger = zap
	m.cache = certmagic.NewCache(m.options)
	m.close = sync.OnceFunc(m.cache.Stop)
	m.config = certmagic.New(m.cache, certmagic.Config{
		Storage: storage, Logger: zap, RenewalWindowRatio: renewalShare,
		KeySource: certmagic.StandardKeyGenerator{KeyType: certmagic.P256},
		// A responder that is away would hold up the start; the large CAs have none any more.
		OCSP:           certmagic.OCSPConfig{DisableStapling: true},
		OnEvent:        m.event,
		ShouldEmitFunc: func(event string) bool { return event != "tls_get_certificate" },
	})
	m.config.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(m.config, issuer)}
	return m, nil
}

// acmeIssuer names every field that certmagic would otherwise fill in from its package variables.
func acmeIssuer(o ManagedOptions) (certmagic.ACMEIssuer, error) {
	host, port, err := splitPort(o.TLS)
	if err != nil {
		return certmagic.ACMEIssuer{}, err
	}
	issuer := certmagic.ACMEIssuer{
		CA: o.CA, TestCA: o.CA, Email: o.Email, Agreed: true, TrustedRoots: o.Roots,
		ListenHost: host, AltTLSALPNPort: port, CertObtainTimeout: obtainTimeout,
		// One node: what is to be proved is in memory, and no stranger's request reads the store.
		DisableDistributedSolvers: true,
		DisableHTTPChallenge:      o.HTTP == "",
	}
	if o.CA == certmagic.LetsEncryptProductionCA {
		// After a failure the next try goes there, where failures do not count against us.
		issuer.TestCA = certmagic.LetsEncryptStagingCA
	}
	if o.HTTP != "" {
		if _, issuer.AltHTTPPort, err = splitPort(o.HTTP); err != nil {
			return certmagic.ACMEIssuer{}, err
		}
	}
	return issuer, nil
}

func splitPort(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil {
		return "", 0, fmt.Errorf("read the listener's address %q: %w", address, err)
	}
	return host, port, nil
}

// TLS is what a listener serves with. Handshakes for names that are not among the domains, or for
// none, are refused: nothing is obtained because a stranger asks for it.
func (m *ManagedCertificates) TLS() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1", acmez.ACMETLS1Protocol},
		GetCertificate: m.certificate,
	}
}

// Run obtains what is missing and renews what is due until ctx ends. A CA that does not answer is
// asked again and again, ever less often. It returns nil when everything has ended.
func (m *ManagedCertificates) Run(ctx context.Context) error {
	var work sync.WaitGroup
	for _, domain := range m.domains {
		work.Go(func() { m.obtain(ctx, domain) })
	}
	m.maintain(ctx)
	work.Wait()
	m.Close()
	return nil
}

// Close ends what is left of the work. It may be called without Run, and more than once.
func (m *ManagedCertificates) Close() {
	m.close()
	if m.store != nil {
		ctx, cancel := context.WithTimeout(context.Background(), releasePatience)
		defer cancel()
		m.store.release(ctx)
	}
}

// obtain loads the domain's certificate, or gets its first one. From then on maintain cares for it.
func (m *ManagedCertificates) obtain(ctx context.Context, domain string) {
	for {
		err := m.loadOrObtain(ctx, domain)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			m.look()
			return
		}
		m.log.ErrorContext(ctx, "there is no certificate, so TLS handshakes for the domain fail", "domain", domain,
			"error", err, "again_in", obtainAgain.String())
		timer := time.NewTimer(obtainAgain)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

func (m *ManagedCertificates) loadOrObtain(ctx context.Context, domain string) error {
	_, err := m.config.CacheManagedCertificate(ctx, domain)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	m.log.InfoContext(ctx, "obtaining a certificate", "domain", domain)
	if err := m.config.ObtainCertAsync(ctx, domain); err != nil { // tries for a month before it gives up
		return err
	}
	_, err = m.config.CacheManagedCertificate(ctx, domain)
	return err
}

// maintain looks at the certificates again and again, and at once when something changed: often, where
// certificates live for minutes or hours.
func (m *ManagedCertificates) maintain(ctx context.Context) {
	for {
		every := m.lookEvery()
		options := m.options
		options.RenewCheckInterval = every // certmagic renews what would not live until a later look
		m.cache.SetOptions(options)
		if err := m.cache.RenewManagedCertificates(ctx); err != nil {
			m.log.ErrorContext(ctx, "certificates could not be looked at", "error", err)
		}
		m.tell(ctx)
		timer := time.NewTimer(every)
		select {
		case <-timer.C:
		case <-m.wake:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// look makes maintain look now.
func (m *ManagedCertificates) look() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// lookEvery is a share of the shortest life among the certificates.
func (m *ManagedCertificates) lookEvery() time.Duration {
	every := longestLook
	for _, d := range m.domains {
		if leaf := m.leaf(d); leaf != nil {
			every = min(every, leaf.NotAfter.Sub(leaf.NotBefore)/24)
		}
	}
	return max(every, shortestLook)
}

// leaf is the domain's certificate that lasts longest; nil: there is none.
func (m *ManagedCertificates) leaf(domain string) *x509.Certificate {
	var leaves []*x509.Certificate
	for _, c := range m.cache.AllMatchingCertificates(domain) {
		if c.Leaf != nil {
			leaves = append(leaves, c.Leaf)
		}
	}
	if len(leaves) == 0 {
		return nil
	}
	return slices.MaxFunc(leaves, func(a, b *x509.Certificate) int { return cmp.Compare(a.NotAfter.Unix(), b.NotAfter.Unix()) })
}

// event hears of certmagic's attempts.
func (m *ManagedCertificates) event(ctx context.Context, event string, data map[string]any) error {
	domain, _ := data["identifier"].(string)
	renewal, _ := data["renewal"].(bool)
	m.mu.Lock()
	state := m.states[domain]
	if state != nil {
		switch event {
		case "cert_failed":
			state.failing = true
		case "cert_obtained":
			*state = managedState{}
		}
	}
	m.mu.Unlock()
	switch event {
	case "cert_failed":
		m.look()
	case "cert_obtained":
		m.log.InfoContext(ctx, "a certificate was obtained", "domain", domain, "renewal", renewal)
	}
	return nil
}
