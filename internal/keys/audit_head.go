package keys

import (
	"context"
	"crypto/hmac"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
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

// decodeAuditHead reads what encode made; ok is false for anything else.
func decodeAuditHead(chain string, b []byte) (h AuditHead, ok bool) {
	h = AuditHead{Chain: chain}
	if len(b) != 8+len(h.Hash) {
		return h, false
	}
	h.Count, h.Hash = int64(binary.BigEndian.Uint64(b)), RowMAC(b[8:])
	return h, h.Count > 0
}

// storedHead returns the head that the store keeps of a chain; ok is false when it keeps none that
// could be one.
func (r *Registry) storedHead(ctx context.Context, chain string) (h AuditHead, ok bool, err error) {
	b, err := r.store.Meta(ctx, auditHeadName(chain))
	if errors.Is(err, ErrNotFound) {
		return AuditHead{Chain: chain}, false, nil
	}
	if err != nil {
		return AuditHead{}, false, r.failure("read the head of an audit chain", err)
	}
	h, ok = decodeAuditHead(chain, b)
	return h, ok, nil
}

// SealAuditHead makes the head of a chain that ends with the entry of this number and MAC.
func (v *Vault) SealAuditHead(chain string, count int64, last RowMAC) AuditHead {
	return AuditHead{Chain: chain, Count: count, Hash: v.peppers[0].auditHead(chain, count, last)}
}

// AuditHeadIntact tells whether a head is the one of a chain whose entry number h.Count has this MAC.
func (v *Vault) AuditHeadIntact(h AuditHead, last RowMAC) bool {
	return v.anyAudit(h.Hash, func(b []byte) []byte { return encodeAuditHead(b, h.Chain, h.Count, last) })
}

// auditHeadNow tells whether a head is so under the pepper in force.
func (v *Vault) auditHeadNow(h AuditHead, last RowMAC) bool {
	want := v.peppers[0].auditHead(h.Chain, h.Count, last)
	return hmac.Equal(want[:], h.Hash[:])
}

func (p *pepper) auditHead(chain string, count int64, last RowMAC) RowMAC {
	return p.audit.of(func(b []byte) []byte { return encodeAuditHead(b, chain, count, last) })
}

func encodeAuditHead(b []byte, chain string, count int64, last RowMAC) []byte {
	return append(encodeInt(encodeText(encodeText(b, auditHeadLabel), chain), count), last[:]...)
}

// String writes the head as ParseAuditHead takes it, count:hash.
func (h AuditHead) String() string { return fmt.Sprintf("%d:%x", h.Count, h.Hash[:]) }

// ParseAuditHead reads count:hash of a chain that is named elsewhere.
func ParseAuditHead(text string) (AuditHead, error) {
	count, hash, _ := strings.Cut(text, ":")
	n, err := strconv.ParseInt(count, 10, 64)
	b, bad := hex.DecodeString(hash)
	var h AuditHead
	if err != nil || n < 1 || bad != nil || len(b) != len(h.Hash) {
		return h, errors.New("is no head; write count:hash, as in the last line of an export")
	}
	h.Count, h.Hash = n, RowMAC(b)
	return h, nil
}
