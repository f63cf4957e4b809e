package keys

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math"
	"slices"
	"sync"
	"time"
)

// macKey computes HMAC-SHA-256 under one key without allocating. It is safe for concurrent use.
type macKey struct{ pool sync.Pool }

// macState is one computation. Its buffers live beside the hash because slices handed to the
// hash.Hash interface escape.
type macState struct {
	mac hash.Hash
	buf []byte
	out [sha256.Size]byte
}

func newMACKey(key []byte) *macKey {
	k := &macKey{}
	k.pool.New = func() any {
		return &macState{mac: hmac.New(sha256.New, key), buf: make([]byte, 0, 512)}
	}
	return k
}

// of returns the MAC of the message that fill appends to the slice it is given.
func (k *macKey) of(fill func([]byte) []byte) [sha256.Size]byte {
	s := k.pool.Get().(*macState)
	s.buf = fill(s.buf[:0])
	return k.finish(s)
}

// ofSum returns the MAC of a SHA-256; it is of without the call through fill.
func (k *macKey) ofSum(sum [sha256.Size]byte) [sha256.Size]byte {
	s := k.pool.Get().(*macState)
	s.buf = append(s.buf[:0], sum[:]...)
	return k.finish(s)
}

// ofText returns the MAC of the SHA-256 of a text, which a caller cannot hand over as bytes
// without allocating.
func (k *macKey) ofText(text string) [sha256.Size]byte {
	s := k.pool.Get().(*macState)
	s.buf = append(s.buf[:0], text...)
	sum := sha256.Sum256(s.buf)
	clear(s.buf) // the state outlives the request; the text need not
	s.buf = append(s.buf[:0], sum[:]...)
	return k.finish(s)
}

// finish computes the MAC of what is in the buffer and gives the state back.
func (k *macKey) finish(s *macState) [sha256.Size]byte {
	s.mac.Reset()
	s.mac.Write(s.buf)
	s.mac.Sum(s.out[:0])
	out := s.out
	k.pool.Put(s)
	return out
}

// A row's MAC is over a canonical encoding: a label that names the row's type and the encoding's
// version, then each field in a fixed order. Numbers are 8 bytes big-endian; texts and lists carry
// their length before them, so no two different rows have one encoding.
const (
	credentialLabel = "postern row credential 1"
	secretLabel     = "postern row secret 1"
	tokenLabel      = "postern row token 1"
	userLabel       = "postern row user 1"
	sessionLabel    = "postern row session 1"
	linkLabel       = "postern row link 1"
	auditLabel      = "postern audit entry 1"
	auditHeadLabel  = "postern audit head 1"
	sealLabel       = "postern sealed secret 1"

	onceKeyLabel     = "postern request key 1"
	onceRequestLabel = "postern request 1"
)

func encodeInt(b []byte, n int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(n)) }

func encodeText[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(encodeInt(b, int64(len(s))), s...)
}

func encodeList[T ~string](b []byte, list []T) []byte {
	b = encodeInt(b, int64(len(list)))
	for _, s := range list {
		b = encodeText(b, s)
	}
	return b
}

func encodeBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// encodeTime writes µs, the precision that stores keep, and an impossible number for the zero time.
func encodeTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return encodeInt(b, math.MinInt64)
	}
	return encodeInt(b, t.UnixMicro())
}

// encodeCredential lists the decisive fields: whoever could change one behind our back would gain
// by it. Names, descriptions and the like are not among them.
func encodeCredential(b []byte, c *Credential) []byte {
	b = encodeText(b, credentialLabel)
	b = encodeText(b, c.ID)
	b = encodeText(b, c.Tenant)
	b = encodeText(b, c.Kind)
	b = encodeText(b, c.Owner.Type)
	b = encodeText(b, c.Owner.ID)
	b = encodeText(b, c.Status)
	b = encodeText(b, c.Plan)
	b = encodeList(b, c.APIs)
	b = encodeList(b, c.Scopes)
	b = encodeBool(b, c.Test)
	b = encodeTime(b, c.ExpiresAt)
	b = encodeInt(b, int64(len(c.AllowedIPs)))
	for _, p := range c.AllowedIPs {
		var text [64]byte
		b = encodeText(b, p.AppendTo(text[:0]))
	}
	b = encodeText(b, c.ManagedBy)
	b = encodeInt(b, c.Version)
	b = encodeTime(b, c.DeletedAt)
	if c.Hold != NoHold { // rows from before there were holds have none, and stay authentic
		b = encodeText(b, c.Hold)
	}
	return b
}

func encodeSecret(b []byte, c CredentialID, s *StoredSecret) []byte {
	b = encodeText(b, secretLabel)
	b = encodeText(b, s.ID)
	b = encodeText(b, c)
	b = append(b, s.Digest[:]...)
	b = encodeInt(b, int64(s.Pepper))
	b = encodeText(b, s.Sealed)
	return encodeTime(b, s.ExpiresAt)
}

func encodeToken(b []byte, t *Token) []byte {
	b = encodeText(b, tokenLabel)
	b = encodeText(b, t.ID)
	b = encodeText(b, t.Name)
	b = encodeText(b, t.Tenant)
	b = encodeList(b, t.Roles)
	b = append(b, t.Digest[:]...)
	b = encodeInt(b, int64(t.Pepper))
	b = encodeTime(b, t.ExpiresAt)
	b = encodeTime(b, t.RevokedAt)
	b = encodeInt(b, t.Version)
	if t.ActsAs != "" { // tokens that act as nobody keep the MAC that they had before there was this
		b = encodeText(b, t.ActsAs)
		b = encodeText(b, t.CreatedBy) // decides what it may do in that person's name, see Actor.Lent
	}
	return b
}

// encodeUser leaves out the name alone, which decides nothing.
func encodeUser(b []byte, u *User) []byte {
	b = encodeText(b, userLabel)
	b = encodeText(b, u.ID)
	b = encodeText(b, u.Tenant)
	b = encodeText(b, u.Email)
	b = encodeList(b, u.Roles)
	b = encodeText(b, u.Password)
	b = encodeBool(b, u.Disabled)
	b = encodeBool(b, u.NoKeys)
	b = encodeList(b, u.Held)
	b = encodeTime(b, u.CreatedAt)
	b = encodeTime(b, u.PasswordAt)
	return encodeInt(b, u.Version)
}

func encodeSession(b []byte, s *Session) []byte {
	b = encodeText(b, sessionLabel)
	b = encodeText(b, s.ID)
	b = append(b, s.Digest[:]...)
	b = encodeText(b, s.User)
	b = encodeText(b, s.Address)
	b = encodeTime(b, s.CreatedAt)
	b = encodeTime(b, s.SeenAt)
	return encodeTime(b, s.ConfirmedAt)
}

func encodeLink(b []byte, l *Link) []byte {
	b = encodeText(b, linkLabel)
	b = append(b, l.Digest[:]...)
	b = encodeText(b, l.User)
	b = encodeText(b, l.CreatedBy)
	b = encodeTime(b, l.CreatedAt)
	return encodeTime(b, l.ExpiresAt)
}

func encodeAudit(b []byte, e *AuditEntry) []byte {
	b = encodeText(b, auditLabel)
	b = encodeText(b, e.Chain)
	b = encodeInt(b, e.Seq)
	b = encodeTime(b, e.Time)
	b = encodeText(b, e.Actor.Type)
	b = encodeText(b, e.Actor.ID)
	b = encodeText(b, e.Actor.Name)
	b = encodeText(b, e.Action)
	b = encodeText(b, e.Target)
	names := make([]string, 0, len(e.Detail))
	for name := range e.Detail {
		names = append(names, name)
	}
	slices.Sort(names)
	b = encodeInt(b, int64(len(names)))
	for _, name := range names {
		b = encodeText(encodeText(b, name), e.Detail[name])
	}
	b = encodeText(b, e.Address)
	b = encodeText(b, e.Request)
	return append(b, e.Prev[:]...)
}
