package gateway

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// How strangers meet the certificates: handshakes, and the CA's two ways to see that a domain is
// ours (RFC 8555 section 8.3, RFC 8737). Neither reads the store or asks the CA.

// refusalEvery is how often the log tells of one domain that its handshakes fail.
const refusalEvery = time.Minute

// certificate is tls.Config.GetCertificate. Neither a certificate nor an error makes the handshake
// fail with unrecognized_name.
func (m *ManagedCertificates) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(hello.ServerName)
	if !slices.Contains(m.domains, name) {
		return nil, nil
	}
	if len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acmez.ACMETLS1Protocol {
		if challenge, ok := certmagic.GetACMEChallenge(name); !ok || challenge.Type != acme.ChallengeTypeTLSALPN01 {
			return nil, fmt.Errorf("nothing of %s is to be proved to a CA now", name)
		}
		return m.config.GetCertificate(hello)
	}
	if m.leaf(name) == nil {
		m.tellRefusal(hello, name)
		return nil, fmt.Errorf("there is no certificate for %s yet", name)
	}
	return m.config.GetCertificate(hello)
}

func (m *ManagedCertificates) tellRefusal(hello *tls.ClientHelloInfo, domain string) {
	now := m.now()
	m.mu.Lock()
	state := m.states[domain]
	news := now.Sub(state.refusals) >= refusalEvery
	if news {
		state.refusals = now
	}
	m.mu.Unlock()
	if news {
		m.log.WarnContext(hello.Context(), "TLS handshakes fail, because there is no certificate yet", "domain", domain)
	}
}

// Prove answers the CA's request for proof over plain HTTP and tells whether it did. host is the
// request's, in lower case and without port.
func (m *ManagedCertificates) Prove(w http.ResponseWriter, r *http.Request, host string) bool {
	if r.Method != http.MethodGet || !slices.Contains(m.domains, host) {
		return false
	}
	challenge, ok := certmagic.GetACMEChallenge(host)
	if !ok || challenge.Type != acme.ChallengeTypeHTTP01 || r.URL.Path != challenge.HTTP01ResourcePath() {
		return false
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Connection", "close")
	_, _ = io.WriteString(w, challenge.KeyAuthorization) // a CA that hung up asks again
	return true
}
