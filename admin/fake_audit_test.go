package admin

import (
	"context"
	"fmt"
	"time"

	"postern/internal/keys"
)

// auditSample is an entry with everything that a writer could get wrong.
func auditSample(n int64) keys.AuditEntry {
	return keys.AuditEntry{
		Chain: "acme", Seq: n, Time: time.Date(2026, 11, 21, 10, 0, 0, int(n)*1000, time.UTC), Action: "key.generated", Target: "key_000000000001",
		Actor:  keys.ActorRef{Type: keys.ActorToken, ID: "tok_1", Name: `=cmd|' /C calc'!A0`},
		Detail: map[string]string{"name": "a \"b\", <c>\n"}, Address: "192.0.2.1", Request: "req",
		Prev: keys.RowMAC{byte(n - 1)}, MAC: keys.RowMAC{byte(n)},
	}
}

func (f *fakeRegistry) ListAudit(_ context.Context, a keys.Actor, filter keys.AuditFilter) (keys.AuditPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(a); err != nil {
		return keys.AuditPage{}, err
	}
	f.auditFilter = filter
	if filter.Cursor == "nonsense" {
		return keys.AuditPage{}, fmt.Errorf("list: %w", keys.ErrBadCursor)
	}
	bare := auditSample(1)
	bare.Detail = nil
	return keys.AuditPage{Items: []keys.AuditEntry{auditSample(2), bare}, Next: "more"}, nil
}

func (f *fakeRegistry) AuditChains(_ context.Context, a keys.Actor) ([]keys.AuditHead, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(a); err != nil {
		return nil, err
	}
	return []keys.AuditHead{{Chain: "acme", Count: 2, Hash: keys.RowMAC{9}}}, nil
}

func (f *fakeRegistry) VerifyAudit(_ context.Context, a keys.Actor, chain string, expect *keys.AuditHead) (keys.AuditVerdict, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(a); err != nil {
		return keys.AuditVerdict{}, err
	}
	f.auditFilter.Chain, f.expected = chain, expect
	v := keys.AuditVerdict{Head: keys.AuditHead{Chain: chain, Count: 2, Hash: keys.RowMAC{9}}}
	if chain == "broken" {
		v.Fault = &keys.AuditFault{Seq: 3, Problem: keys.AuditCutOff}
	}
	return v, nil
}

// ExportAudit has two entries; the chain called broken fails after the first.
func (f *fakeRegistry) ExportAudit(_ context.Context, a keys.Actor, chain, format string) (*keys.ExportedChain, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(a); err != nil {
		return nil, err
	}
	f.auditFilter.Chain, f.auditFormat = chain, format
	return &keys.ExportedChain{
		Head: keys.AuditHead{Chain: "ac/me\"", Count: 2, Hash: keys.RowMAC{9}},
		Each: func(_ context.Context, visit func(*keys.AuditEntry) error) error {
			for n := range int64(2) {
				if chain == "broken" && n == 1 {
					return keys.ErrStoreUnavailable
				}
				e := auditSample(n + 1)
				if err := visit(&e); err != nil {
					return err
				}
			}
			return nil
		},
	}, nil
}
