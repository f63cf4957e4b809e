package keys

import (
	"math"
	"time"
)

// apply puts a stored credential in force unless a newer version is. A tombstone takes it out. A
// row that does not authenticate takes out what was there, because nobody can say any more what
// the credential may do; the version in it counts for nothing, and the authentic row of the version
// that was there may come back.
func (d *Directory) apply(c *Credential) {
	if c.ManagedBy != "" && !d.managed.Load() {
		d.managed.Store(true)
	}
	switch {
	case !d.vault.CredentialIntact(c):
		d.forged.tell(d.log, "credential", string(c.ID))
		d.drop(c.ID)
	case c.DeletedAt.IsZero():
		d.put(c.ID, c.Version, d.entryOf(c))
	default:
		d.put(c.ID, c.Version, nil)
	}
}

// put makes next the entry of a credential, or none when next is nil, unless that version or a newer
// one was applied before.
func (d *Directory) put(id CredentialID, version int64, next *entry) {
	shard, hash := d.ids.at(id)
	shard.mu.Lock()
	old := shard.find(hash, id)
	if version <= shard.version(old, id) {
		shard.mu.Unlock()
		if next != nil {
			d.policy.release(next.rights)
		}
		return
	}
	if next != nil && old != nil {
		next.inherit(old)
	}
	if next != nil {
		shard.table.put(hash, old, next)
		delete(shard.floors, id)
	} else {
		shard.forget(hash, old, id, version)
	}
	d.digests.replace(old, next)
	shard.mu.Unlock()
	d.replaced(old)
}

// drop takes out a credential whose row cannot be trusted.
func (d *Directory) drop(id CredentialID) {
	shard, hash := d.ids.at(id)
	shard.mu.Lock()
	old := shard.find(hash, id)
	if old != nil {
		shard.forget(hash, old, id, old.version-1)
		d.digests.replace(old, nil)
	}
	shard.mu.Unlock()
	d.replaced(old)
}

func (d *Directory) replaced(old *entry) {
	if old != nil {
		d.policy.release(old.rights)
	}
	d.stats.changed()
}

// entryOf makes the entry of an authentic credential. It has at most the two secrets that the
// domain knows, and none that does not authenticate.
func (d *Directory) entryOf(c *Credential) *entry {
	switch c.Kind { // constants instead of a million copies of the word
	case APIKey:
		c.Kind = APIKey
	case Client:
		c.Kind = Client
	}
	tenant := d.policy.tenant(c.Tenant)
	e := &entry{
		Principal: d.policy.principal(c, tenant),
		tenant:    tenant,
		version:   c.Version,
		status:    entryStatusOf(c.Status),
		alone:     c.Kind == APIKey,
	}
	e.keepID()
	e.entry = e
	count := 0
	for i := range c.Secrets {
		s := &c.Secrets[i]
		if !d.vault.SecretIntact(c.ID, s) {
			d.forged.tell(d.log, "secret", string(c.ID)+"/"+string(s.ID))
			continue
		}
		if s.Pepper != d.vault.PepperVersion() {
			e.old++
		}
		switch count {
		case 0:
			e.first = entrySecret{s.Digest, expiryMicro(s.ExpiresAt)}
			if len(s.ID) == idLen {
				copy(e.firstName[:], s.ID)
			}
		case 1:
			e.second = &secondSecret{entrySecret: entrySecret{s.Digest, expiryMicro(s.ExpiresAt)}, id: s.ID, principal: e.Principal}
			e.second.principal.second = true
		}
		count++
	}
	return e
}

// expiryMicro is the end of a secret in µs, 0 for none. An end at or before 1970 is long over.
func expiryMicro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	if us := t.UnixMicro(); us != 0 {
		return us
	}
	return math.MinInt64
}
