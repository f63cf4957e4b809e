package keys

import (
	"context"
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"fmt"
)

// AuditHead says where an audit chain ends, so that entries cut off its end are missed. Without the
// pepper nobody can make one for a shorter chain. (To put back an old one together with the old
// database is to restore a backup: whoever fears that keeps a head elsewhere, as exports do.)
type AuditHead struct {
	Chain string
	Count int64  // entries, which is the Seq of the last
	Hash  RowMAC // under the pepper, over the chain, the count and the last entry's MAC
}

// auditHeadName is where the store keeps a chain's head.
func auditHeadName(chain string) string { return "audit_head:" + chain }

// encode is the head as the store keeps it under its name.
func (h AuditHead) encode() []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(h.Count)), h.Hash[:]...)
}

// decodeAuditHead reads what encode made; anything else ends nowhere that exists.
func decodeAuditHead(chain string, b []byte) AuditHead {
	h := AuditHead{Chain: chain}
	if len(b) == 8+len(h.Hash) {
		h.Count, h.Hash = int64(binary.BigEndian.Uint64(b)), RowMAC(b[8:])
	}
	return h
}

// storedHead returns the head that the store keeps of a chain; ok is false when it keeps none.
func (r *Registry) storedHead(ctx context.Context, chain string) (h AuditHead, ok bool, err error) {
	b, err := r.store.Meta(ctx, auditHeadName(chain))
	if errors.Is(err, ErrNotFound) {
		return AuditHead{Chain: chain}, false, nil
	}
	if err != nil {
		return AuditHead{}, false, r.failure("read the head of an audit chain", err)
	}
	return decodeAuditHead(chain, b), true, nil
}

// SealAuditHead makes the head of a chain that ends with the entry of this number and MAC.
func (v *Vault) SealAuditHead(chain string, count int64, last RowMAC) AuditHead {
	return AuditHead{Chain: chain, Count: count, Hash: v.peppers[0].auditHead(chain, count, last)}
}

// AuditHeadIntact tells whether a head is the one of a chain whose entry number h.Count has this MAC.
func (v *Vault) AuditHeadIntact(h AuditHead, last RowMAC) bool {
	for _, p := range v.peppers {
		want := p.auditHead(h.Chain, h.Count, last)
		if hmac.Equal(want[:], h.Hash[:]) {
			return true
		}
	}
	return false
}

func (p *pepper) auditHead(chain string, count int64, last RowMAC) RowMAC {
	return p.audit.of(func(b []byte) []byte {
		return append(encodeInt(encodeText(encodeText(b, auditHeadLabel), chain), count), last[:]...)
	})
}

// String writes the head as verification takes it: chain:count:hash.
func (h AuditHead) String() string { return fmt.Sprintf("%s:%d:%x", h.Chain, h.Count, h.Hash[:]) }
