package keys

import (
	"context"
	"math"
)

// AuditProblem is how a chain was tampered with.
type AuditProblem string

// The problems. They are found with the pepper alone: nobody without it can make an entry that fits.
const (
	AuditAltered   AuditProblem = "altered"   // an entry is not as it was written
	AuditMissing   AuditProblem = "missing"   // an entry is gone and a later one is there
	AuditReordered AuditProblem = "reordered" // an entry stands where another was written
	AuditCutOff    AuditProblem = "cut_off"   // the newest entries are gone
)

// AuditFault is the first entry that is not as it should be.
type AuditFault struct {
	Seq     int64
	Problem AuditProblem
}

// AuditVerdict is what was found of a chain.
type AuditVerdict struct {
	Head  AuditHead   // of what was read
	Fault *AuditFault // nil for a chain as it was written
}

// VerifyAudit reads a chain ("" for the actor's own) from its first entry to its last and tells the
// first that was altered, is missing, was reordered, or was cut off the end. expect, where it is not
// nil, is the head of an earlier export or verification: the chain must still have that entry.
func (r *Registry) VerifyAudit(ctx context.Context, a Actor, chain string, expect *AuditHead) (AuditVerdict, error) {
	chain, err := r.namedChain(ctx, a, AuditRead, chain)
	if err != nil {
		return AuditVerdict{}, err
	}
	if expect != nil && (expect.Chain != "" && expect.Chain != chain || expect.Count < 1) {
		var wrong fieldErrors
		wrong.add("expect_head", "is not a head of the chain %s", chain)
		return AuditVerdict{}, wrong.refusal()
	}
	// The heads come first: what is written meanwhile only makes the chain longer.
	stored, known, err := r.storedHead(ctx, chain)
	if err != nil {
		return AuditVerdict{}, err
	}
	w := NewAuditWalk(r.vault, chain)
	w.Expect(stored)
	w.stored = stored
	if expect != nil {
		w.Expect(AuditHead{Chain: chain, Count: expect.Count, Hash: expect.Hash})
	}
	for after, more := int64(math.MinInt64/2), true; more; { // somebody may have written numbers below 1
		entries, err := r.store.AuditEntries(ctx, chain, after, auditBatch)
		if err != nil {
			return AuditVerdict{}, r.failure("read audit chain", err)
		}
		for i := range entries {
			after = entries[i].Seq
			w.Next(&entries[i])
		}
		more = len(entries) == auditBatch && w.fault == nil
	}
	v := w.End()
	if v.Fault == nil && v.Head.Count > 0 && !known {
		// A chain that was begun this instant has its head now; one without a head lost it.
		if _, known, err = r.storedHead(ctx, chain); err != nil {
			return AuditVerdict{}, err
		}
		if !known {
			v.Fault = &AuditFault{v.Head.Count + 1, AuditCutOff}
		}
	}
	return v, nil
}

// AuditWalk verifies the entries of one chain as they come, from the store or from an export.
type AuditWalk struct {
	vault    *Vault
	chain    string
	last     AuditEntry
	expected []AuditHead
	stored   AuditHead // the one of them that the store keeps
	fault    *AuditFault
}

// NewAuditWalk begins before the first entry of a chain.
func NewAuditWalk(v *Vault, chain string) *AuditWalk { return &AuditWalk{vault: v, chain: chain} }

// Expect demands that the chain reaches a head, and passes it. An empty head demands nothing. Expect
// comes before the entry that the head is of.
func (w *AuditWalk) Expect(h AuditHead) {
	if h.Count > 0 {
		w.expected = append(w.expected, h)
	}
}

// Next takes the next entry. After the first fault it does nothing.
func (w *AuditWalk) Next(e *AuditEntry) {
	if w.fault != nil {
		return
	}
	switch {
	case e.Chain != w.chain || e.Seq < 1:
		w.fail(w.last.Seq+1, AuditAltered)
	case e.Seq <= w.last.Seq:
		w.fail(w.last.Seq+1, AuditReordered)
	case e.Seq > w.last.Seq+1:
		w.fail(w.last.Seq+1, AuditMissing)
	case w.vault.AuditIntact(w.last, e):
		w.pass(e)
	case w.writtenElsewhere(e):
		w.fail(e.Seq, AuditReordered)
	default:
		w.fail(e.Seq, AuditAltered)
	}
}

func (w *AuditWalk) pass(e *AuditEntry) {
	for _, h := range w.expected {
		// A stored head is under the pepper in force, see recordPepper: somebody with an old pepper
		// could otherwise write the whole chain anew.
		if h.Count == e.Seq && (!w.vault.AuditHeadIntact(h, e.MAC) || h == w.stored && !w.vault.auditHeadNow(h, e.MAC)) {
			w.fail(e.Seq, AuditAltered)
			return
		}
	}
	w.last = *e
}

func (w *AuditWalk) fail(seq int64, p AuditProblem) { w.fault = &AuditFault{seq, p} }

// farthest is how many places around an entry are tried to find out where it was written.
const farthest = 1_000_000

// writtenElsewhere tells whether an entry is whole but for its number. It is asked once for a chain,
// of the first that does not fit, and takes at most about a second.
func (w *AuditWalk) writtenElsewhere(e *AuditEntry) bool {
	moved, end := *e, e.Seq
	for _, h := range w.expected {
		end = max(end, h.Count)
	}
	for n := int64(1); n <= farthest && (n < e.Seq || e.Seq+n <= end); n++ {
		for _, seq := range [...]int64{e.Seq + n, e.Seq - n} {
			if moved.Seq = seq; seq >= 1 && seq <= end && w.vault.auditMAC(&moved) {
				return true
			}
		}
	}
	return false
}

// End tells what was found.
func (w *AuditWalk) End() AuditVerdict {
	for _, h := range w.expected {
		if w.fault == nil && h.Count > w.last.Seq {
			w.fail(w.last.Seq+1, AuditCutOff)
		}
	}
	v := AuditVerdict{Fault: w.fault, Head: AuditHead{Chain: w.chain}}
	if w.last.Seq > 0 {
		v.Head = w.vault.SealAuditHead(w.chain, w.last.Seq, w.last.MAC)
	}
	return v
}
