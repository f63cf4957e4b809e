package keys

import (
	"crypto/subtle"
	"sync/atomic"
	"time"
)

// entry is one credential in the directory: four cache lines of 64 bytes, of which a decision reads the
// first two. But for the notes of its use it is immutable; a change puts another in its place.
type entry struct {
	first  entrySecret
	second *secondSecret // nil but during a rollover
	tenant *tenantSlot
	status entryStatus
	alone  bool        // an API key, which needs no id beside it
	old    uint8       // secrets under a superseded pepper
	queued atomic.Bool // on the useList
	Principal
	version int64

	firstName [idLen]byte // the first secret's id, in place: a string costs twice as much
	used      useMark     // of the first secret
	next      *entry      // on the useList
	_         [16]byte    // so that every entry begins with a line; room for more
}

// secondSecret is a credential's other secret. Its principal says that it was this one that
// authenticated.
type secondSecret struct {
	entrySecret
	principal Principal
	id        SecretID
	used      useMark
}

// entrySecret is what a text is checked against. A zero digest is no secret.
type entrySecret struct {
	digest  Digest
	expires int64 // µs since the Unix epoch; 0: as long as the credential
}

// entryStatus is a stored Status in a byte. The zero value admits nobody.
type entryStatus uint8

const (
	entryUnknown entryStatus = iota
	entryPending
	entryActive
	entrySuspended
	entryRevoked
	entryDenied
)

func entryStatusOf(s Status) entryStatus {
	switch s {
	case Pending:
		return entryPending
	case Active:
		return entryActive
	case Suspended:
		return entrySuspended
	case Revoked:
		return entryRevoked
	case Denied:
		return entryDenied
	default:
		return entryUnknown
	}
}

// statusAt is the status to show.
func (e *entry) statusAt(now time.Time) Status {
	switch e.status {
	case entryPending:
		return Pending
	case entryActive, entrySuspended:
		if e.expired(now) {
			return Expired
		}
		if e.status == entrySuspended {
			return Suspended
		}
		return Active
	case entryRevoked:
		return Revoked
	default:
		return Denied
	}
}

func (e *entry) expired(now time.Time) bool {
	return e.expires != 0 && now.UnixMicro() >= e.expires
}

// match tells in constant time whether the digest is one of this credential's, and of which secret.
func (e *entry) match(d *Digest) *entrySecret {
	if subtle.ConstantTimeCompare(e.first.digest[:], d[:]) == 1 {
		return &e.first
	}
	if e.second != nil && subtle.ConstantTimeCompare(e.second.digest[:], d[:]) == 1 {
		return &e.second.entrySecret
	}
	return nil
}

// principalOf is the principal that a secret of the entry authenticates.
func (e *entry) principalOf(s *entrySecret) *Principal {
	if s == &e.first {
		return &e.Principal
	}
	return &e.second.principal
}

// digests calls fn for each of the credential's digests.
func (e *entry) digests(fn func(*Digest)) {
	if e.first.digest != (Digest{}) {
		fn(&e.first.digest)
	}
	if e.second != nil {
		fn(&e.second.digest)
	}
}

// takes tells whether the id that came with the secret, if any, is right for this credential.
func (e *entry) takes(id string) bool {
	if id == "" {
		return e.alone
	}
	return id == string(e.ID)
}

// verdict is what a credential whose possession was proved gets: its own state first, then its
// tenant's.
func (e *entry) verdict(now time.Time) Code {
	switch e.status {
	case entryRevoked:
		return CredentialRevoked
	case entryPending:
		return CredentialPending
	case entrySuspended:
		return CredentialSuspended
	case entryActive:
	default:
		return CredentialDenied
	}
	if e.expired(now) {
		return CredentialExpired
	}
	switch e.tenant.gate.Load() {
	case gateOpen:
		return Admitted
	case gateNotEligible:
		return PlanNotEligible
	default:
		return KeysDisabled
	}
}
