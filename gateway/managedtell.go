package gateway

import (
	"context"
	"fmt"
	"time"
)

// What people are told of certificates that are missing or about to end.

// tell logs, once for each part of a certificate's life, that it should have been renewed and was
// not.
func (m *ManagedCertificates) tell(ctx context.Context) {
	now := m.now()
	for _, domain := range m.domains {
		leaf := m.leaf(domain)
		if leaf == nil {
			continue // obtain tells
		}
		life := lifeOf(leaf, now)
		m.mu.Lock()
		state := m.states[domain]
		failing := state.failing
		// At two thirds it is time for the first try, which is no news as long as it has not failed.
		news := life > state.told && (life > certificateDue || life == certificateDue && failing)
		if news {
			state.told = life
		}
		m.mu.Unlock()
		if !news {
			continue
		}
		ends := leaf.NotAfter.UTC().Format(time.RFC3339)
		switch life {
		case certificateDue:
			m.log.WarnContext(ctx, "a third of a certificate's life is left, and its renewal fails; it is tried again", "domain", domain, "ends", ends)
		case certificateClosing:
			m.log.ErrorContext(ctx, "a tenth of a certificate's life is left, and it has not been renewed", "domain", domain, "ends", ends, "failing", failing)
		case certificateOver:
			m.log.ErrorContext(ctx, "a certificate is not valid any more, and clients refuse it", "domain", domain, "ended", ends, "failing", failing)
		}
	}
}

// Degraded tells what is wrong with the certificates, a line each; the log knows why.
func (m *ManagedCertificates) Degraded() []string {
	now := m.now()
	var degraded []string
	for _, domain := range m.domains {
		m.mu.Lock()
		failing := m.states[domain].failing
		m.mu.Unlock()
		leaf := m.leaf(domain)
		if leaf == nil {
			degraded = append(degraded, fmt.Sprintf("there is no certificate for %s yet, so its TLS handshakes fail; the log says why", domain))
			continue
		}
		if line := degradedLine(domain, leaf, now, failing); line != "" {
			degraded = append(degraded, line)
		}
	}
	return degraded
}

// Expiries tells for each domain when its certificate ends; the zero time when there is none.
func (m *ManagedCertificates) Expiries() map[string]time.Time {
	ends := make(map[string]time.Time, len(m.domains))
	for _, domain := range m.domains {
		ends[domain] = time.Time{}
		if leaf := m.leaf(domain); leaf != nil {
			ends[domain] = leaf.NotAfter
		}
	}
	return ends
}
