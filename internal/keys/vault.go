package keys

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Vault holds the pepper and keyset: it digests, seals and authenticates rows. It is immutable and
// safe for concurrent use.
type Vault struct {
	peppers []*pepper        // current first
	retired []retiredPepper  // of which only old audit entries are left
	aead    tink.AEAD        // nil without a keyset
	sealing [sealPrefix]byte // how a text begins that was sealed with the keyset's primary key
	sealers int              // keys in the keyset
}

// ErrSealed says that a sealed secret cannot be opened with this keyset, in this place.
var ErrSealed = errors.New("sealed secret does not open")

// NewKeyset makes the contents of a fresh keyset file (Tink JSON in the clear, AES-256-GCM).
func NewKeyset() ([]byte, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("make keyset: %w", err)
	}
	return keysetText(handle)
}

// OpenVault reads the contents of the pepper and keyset files. With a nil keyset everything works
// but Seal and Open. Errors never show what is in the files.
func OpenVault(pepperFile, keysetFile []byte) (*Vault, error) {
	peppers, retired, err := parsePeppers(pepperFile)
	if err != nil {
		return nil, err
	}
	v := &Vault{peppers: peppers, retired: retired}
	if keysetFile == nil {
		return v, nil
	}
	const next = "restore the file from a backup, or make one for a new installation with postern init"
	if len(bytes.TrimSpace(keysetFile)) == 0 {
		return nil, fmt.Errorf("read keyset file: it is empty; %s", next)
	}
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(keysetFile)))
	if err != nil {
		// The library's message may quote the file, so it stays out.
		return nil, fmt.Errorf("read keyset file: it is no Tink keyset in JSON; %s", next)
	}
	if v.aead, err = aead.New(handle); err != nil {
		return nil, fmt.Errorf("read keyset file: its keys are not for AEAD (AES-GCM); %s", next)
	}
	info := handle.KeysetInfo()
	v.sealing, v.sealers = sealedBy(info.GetPrimaryKeyId()), len(info.GetKeyInfo())
	return v, nil
}

// newEphemeralVault makes a vault that ends with the process, for directories whose digests are
// stored nowhere.
func newEphemeralVault() *Vault {
	secret := make([]byte, pepperLen)
	_, _ = rand.Read(secret) // never fails, see crypto/rand
	p, err := newPepper(1, secret)
	if err != nil {
		panic(fmt.Sprintf("derive keys of a 32-byte pepper: %v", err)) // only a broken build can
	}
	return &Vault{peppers: []*pepper{p}}
}

// Digest of a whole text under the current pepper. Does not allocate.
func (v *Vault) Digest(text string) Digest { return v.peppers[0].digest.ofText(text) }

// DigestHash applies the current pepper to a declared SHA-256. Does not allocate.
func (v *Vault) DigestHash(sum [sha256.Size]byte) Digest { return v.peppers[0].digest.ofSum(sum) }

// PepperVersion is the version of the current pepper, the one that Digest uses.
func (v *Vault) PepperVersion() uint32 { return v.peppers[0].version }

// AddressKey keys the names under which client addresses are counted, so that neither a checkpoint
// nor a shared store tells an address, and the names are the same after a restart. With a new pepper
// they change: addresses then begin their windows and periods anew.
func (v *Vault) AddressKey() []byte { return slices.Clone(v.peppers[0].address) }

// Canary is what the store remembers to recognise the pepper. It tells nothing about it.
func (v *Vault) Canary() []byte { return []byte(v.peppers[0].canary) }

// Recognises tells whether a canary was made by one of this vault's peppers.
func (v *Vault) Recognises(canary []byte) bool {
	found := false
	for _, p := range v.peppers {
		found = hmac.Equal([]byte(p.canary), canary) || found
	}
	return found
}

// Seal encrypts a secret's text so that Open gives it back only for the same tenant, credential and
// secret id.
func (v *Vault) Seal(t TenantID, c CredentialID, s SecretID, text Secret) ([]byte, error) {
	if v.aead == nil {
		return nil, errors.New("seal secret: no keyset was configured (secrets.keyset)")
	}
	sealed, err := v.aead.Encrypt([]byte(text.Reveal()), sealContext(t, c, s))
	if err != nil {
		return nil, fmt.Errorf("seal secret: %w", err)
	}
	return sealed, nil
}

// Open decrypts what Seal made for the same place; ErrSealed, wrapped, otherwise.
func (v *Vault) Open(t TenantID, c CredentialID, s SecretID, sealed []byte) (Secret, error) {
	if v.aead == nil {
		return Secret{}, errors.New("open secret: no keyset was configured (secrets.keyset)")
	}
	text, err := v.aead.Decrypt(sealed, sealContext(t, c, s))
	if err != nil {
		return Secret{}, fmt.Errorf("open secret %s of %s: %w", s, c, ErrSealed)
	}
	return NewSecret(string(text)), nil
}

func sealContext(t TenantID, c CredentialID, s SecretID) []byte {
	return encodeText(encodeText(encodeText(encodeText(nil, sealLabel), t), c), s)
}

// anyPepper tells whether one of the peppers, in force or superseded, gives the MAC.
func (v *Vault) anyPepper(want RowMAC, mac func(*pepper) RowMAC) bool {
	for _, p := range v.peppers {
		got := mac(p)
		if hmac.Equal(got[:], want[:]) {
			return true
		}
	}
	return false
}

// SealCredential sets the row MAC of the credential, not those of its secrets.
func (v *Vault) SealCredential(c *Credential) {
	c.MAC = v.peppers[0].row.of(func(b []byte) []byte { return encodeCredential(b, c) })
}

// CredentialIntact tells whether the credential is as it was sealed.
func (v *Vault) CredentialIntact(c *Credential) bool {
	return v.anyPepper(c.MAC, func(p *pepper) RowMAC {
		return p.row.of(func(b []byte) []byte { return encodeCredential(b, c) })
	})
}

// SealSecret sets the row MAC of a secret of the credential.
func (v *Vault) SealSecret(c CredentialID, s *StoredSecret) {
	s.MAC = v.peppers[0].row.of(func(b []byte) []byte { return encodeSecret(b, c, s) })
}

// SecretIntact tells whether the secret is as it was sealed, for this credential.
func (v *Vault) SecretIntact(c CredentialID, s *StoredSecret) bool {
	return v.anyPepper(s.MAC, func(p *pepper) RowMAC {
		return p.row.of(func(b []byte) []byte { return encodeSecret(b, c, s) })
	})
}

// SealToken sets the row MAC of an admin token.
func (v *Vault) SealToken(t *Token) {
	t.MAC = v.peppers[0].row.of(func(b []byte) []byte { return encodeToken(b, t) })
}

// TokenIntact tells whether the token is as it was sealed.
func (v *Vault) TokenIntact(t *Token) bool {
	return v.anyPepper(t.MAC, func(p *pepper) RowMAC {
		return p.row.of(func(b []byte) []byte { return encodeToken(b, t) })
	})
}

// SealUser sets the row MAC of a person.
func (v *Vault) SealUser(u *User) {
	u.MAC = v.peppers[0].row.of(func(b []byte) []byte { return encodeUser(b, u) })
}

// UserIntact tells whether the person's record is as it was sealed.
func (v *Vault) UserIntact(u *User) bool {
	return v.anyPepper(u.MAC, func(p *pepper) RowMAC {
		return p.row.of(func(b []byte) []byte { return encodeUser(b, u) })
	})
}

// SealSession sets the row MAC of a session.
func (v *Vault) SealSession(s *Session) {
	s.MAC = v.peppers[0].row.of(func(b []byte) []byte { return encodeSession(b, s) })
}

// SessionIntact tells whether the session is as it was sealed.
func (v *Vault) SessionIntact(s *Session) bool {
	return v.anyPepper(s.MAC, func(p *pepper) RowMAC {
		return p.row.of(func(b []byte) []byte { return encodeSession(b, s) })
	})
}

// SealLink sets the row MAC of a one-time code.
func (v *Vault) SealLink(l *Link) {
	l.MAC = v.peppers[0].row.of(func(b []byte) []byte { return encodeLink(b, l) })
}

// LinkIntact tells whether the code's record is as it was sealed.
func (v *Vault) LinkIntact(l *Link) bool {
	return v.anyPepper(l.MAC, func(p *pepper) RowMAC {
		return p.row.of(func(b []byte) []byte { return encodeLink(b, l) })
	})
}

// SealAudit links an entry to the last one of its chain (the zero entry for a new chain): it sets
// Seq, Prev and MAC.
func (v *Vault) SealAudit(last AuditEntry, e *AuditEntry) {
	e.Seq, e.Prev = last.Seq+1, last.MAC
	e.MAC = v.peppers[0].audit.of(func(b []byte) []byte { return encodeAudit(b, e) })
}

// AuditIntact tells whether an entry is as it was written and follows the last one. Walking a chain
// with it finds the first altered, missing or reordered entry.
func (v *Vault) AuditIntact(last AuditEntry, e *AuditEntry) bool {
	return e.Seq == last.Seq+1 && e.Prev == last.MAC && v.auditMAC(e)
}

// auditMAC tells whether an entry is as it was written, wherever it stands.
func (v *Vault) auditMAC(e *AuditEntry) bool {
	return v.anyAudit(e.MAC, func(b []byte) []byte { return encodeAudit(b, e) })
}

// anyAudit tells whether one of the audit keys, in force, superseded or left of a dropped pepper,
// gives the MAC of a message.
func (v *Vault) anyAudit(want RowMAC, message func([]byte) []byte) bool {
	if v.anyPepper(want, func(p *pepper) RowMAC { return p.audit.of(message) }) {
		return true
	}
	for _, r := range v.retired {
		if got := r.audit.of(message); hmac.Equal(got[:], want[:]) {
			return true
		}
	}
	return false
}
