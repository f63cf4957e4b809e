package keys

import (
	"sync/atomic"
	"time"
)

// useMark is when something was last used: whole seconds since 1970, 0 for never, which lasts until
// the year 2106. The largest time wins.
type useMark struct{ at atomic.Uint32 }

func (m *useMark) time() time.Time {
	if at := m.at.Load(); at != 0 {
		return time.Unix(int64(at), 0).UTC()
	}
	return time.Time{}
}

// raise sets the mark to at if that is later, and tells whether it was.
func (m *useMark) raise(at uint32) bool {
	for {
		old := m.at.Load()
		if at <= old {
			return false
		}
		if m.at.CompareAndSwap(old, at) {
			return true
		}
	}
}

// useList is the entries that were used since it was last taken: a stack without a lock, linked
// through the entries themselves. An entry is on it at most once (entry.queued), and only the
// whole list is ever taken.
type useList struct{ head atomic.Pointer[entry] }

// put is called by whoever set e.queued.
func (l *useList) put(e *entry) {
	for {
		head := l.head.Load()
		e.next = head
		if l.head.CompareAndSwap(head, e) {
			return
		}
	}
}

// Used notes that a call of this credential was admitted, with the secret that authenticated it. It
// takes no lock and allocates nothing; within one second, all but the first of a secret's calls cost
// one read. A principal of no directory is left as it is.
func (p *Principal) Used(now time.Time) {
	e := p.entry
	if e == nil {
		return
	}
	mark := &e.used
	if p.second {
		mark = &e.second.used
	}
	if mark.raise(uint32(max(now.Unix(), 0))) && e.queued.CompareAndSwap(false, true) {
		e.tenant.uses.put(e)
	}
}

// TakeUses appends to to what was used since the last call, and returns it. Safe for concurrent use;
// what one call returns no other does.
func (d *Directory) TakeUses(to []LastUse) []LastUse {
	for e := d.policy.uses.head.Swap(nil); e != nil; {
		next := e.next
		e.queued.Store(false) // before the marks are read: a later use puts it on the list again
		d.keepUses(e)
		to = e.uses(to)
		e = next
	}
	return to
}

// keepUses hands the marks of an entry that was replaced while a call with it was decided to its
// successor.
func (d *Directory) keepUses(e *entry) {
	if present := d.ids.find(e.ID); present != nil && present != e {
		present.inherit(e)
	}
}

// LastUses tells what is known in memory of a credential's use: since the start, and not of others'
// gateways.
func (d *Directory) LastUses(id CredentialID) []LastUse {
	e := d.ids.find(id)
	if e == nil {
		return nil
	}
	return e.uses(nil)
}

// uses appends the uses of the entry's secrets that were used.
func (e *entry) uses(to []LastUse) []LastUse {
	if at := e.used.time(); !at.IsZero() {
		to = append(to, LastUse{Credential: e.ID, Secret: e.firstID(), At: at})
	}
	if e.second != nil {
		if at := e.second.used.time(); !at.IsZero() {
			to = append(to, LastUse{Credential: e.ID, Secret: e.second.id, At: at})
		}
	}
	return to
}

// inherit takes over when the secrets of both were last used.
func (e *entry) inherit(old *entry) {
	for _, u := range old.uses(nil) {
		at := uint32(u.At.Unix())
		if e.firstID() == u.Secret {
			e.used.raise(at)
		}
		if e.second != nil && e.second.id == u.Secret {
			e.second.used.raise(at)
		}
	}
}

// firstID is the id of the first secret, "" where it has another length than ours have.
func (e *entry) firstID() SecretID {
	if e.firstName == [idLen]byte{} {
		return ""
	}
	return SecretID(e.firstName[:])
}
