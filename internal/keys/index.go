package keys

import (
	"encoding/binary"
	"hash/maphash"
	"sync"
)

// digestIndex finds entries by digest. Digests are MACs, so nobody without the pepper can choose
// where one lands; their first 8 bytes serve as the map's key, which halves the memory of whole
// ones, and the whole digest is compared afterwards. Shards keep readers on many cores apart.
type digestIndex [256]digestShard

type digestShard struct {
	mu  sync.RWMutex
	one map[uint64]*entry
	// more holds what shares a key with an entry in one: 64-bit collisions, and for an instant
	// two credentials with one digest, when a declared key changes its name.
	more map[uint64][]*entry
}

func (x *digestIndex) init() {
	for i := range x {
		x[i].one = map[uint64]*entry{}
	}
}

func (x *digestIndex) at(d *Digest) (*digestShard, uint64) {
	return &x[d[8]], binary.LittleEndian.Uint64(d[:8])
}

// find returns the entry and the secret that have the digest, nil when there is none.
func (x *digestIndex) find(d *Digest) (*entry, *entrySecret) {
	shard, key := x.at(d)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	e := shard.one[key]
	if e == nil {
		return nil, nil
	}
	if s := e.match(d); s != nil {
		return e, s
	}
	if len(shard.more) > 0 {
		for _, e := range shard.more[key] {
			if s := e.match(d); s != nil {
				return e, s
			}
		}
	}
	return nil, nil
}

// replace puts next, where it is not nil, in the place of old, where that is not nil. A digest of
// both always finds one of them.
func (x *digestIndex) replace(old, next *entry) {
	if next != nil {
		next.digests(func(d *Digest) {
			shard, key := x.at(d)
			shard.put(key, old, next)
		})
	}
	if old != nil {
		old.digests(func(d *Digest) {
			if next == nil || next.match(d) == nil {
				shard, key := x.at(d)
				shard.drop(key, old)
			}
		})
	}
}

func (s *digestShard) put(key uint64, old, next *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.one[key]; e == nil || e == old || e == next {
		s.one[key] = next
		return
	}
	for i, e := range s.more[key] {
		if e == old || e == next {
			s.more[key][i] = next
			return
		}
	}
	if s.more == nil {
		s.more = map[uint64][]*entry{}
	}
	s.more[key] = append(s.more[key], next)
}

func (s *digestShard) drop(key uint64, old *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := s.more[key]
	if s.one[key] == old {
		if len(rest) == 0 {
			delete(s.one, key)
			return
		}
		s.one[key] = rest[0]
		old = rest[0]
	}
	kept := make([]*entry, 0, len(rest))
	for _, e := range rest {
		if e != old {
			kept = append(kept, e)
		}
	}
	if len(kept) == 0 {
		delete(s.more, key)
		return
	}
	s.more[key] = kept
}

// idIndex finds entries by id and keeps versions in order: whoever changes a credential holds its
// shard's lock.
type idIndex struct {
	seed   maphash.Seed
	shards [64]idShard
}

type idShard struct {
	mu      sync.RWMutex
	entries map[CredentialID]*entry
	// floors remembers the versions of credentials that are gone, so that a late older change
	// does not bring one back.
	floors map[CredentialID]int64
}

func (x *idIndex) init() {
	x.seed = maphash.MakeSeed()
	for i := range x.shards {
		x.shards[i].entries = map[CredentialID]*entry{}
		x.shards[i].floors = map[CredentialID]int64{}
	}
}

func (x *idIndex) at(id CredentialID) *idShard {
	return &x.shards[maphash.String(x.seed, string(id))%uint64(len(x.shards))]
}

// version is the newest version that was applied of a credential, dead or alive. The shard is locked.
func (s *idShard) version(id CredentialID) int64 {
	if e := s.entries[id]; e != nil {
		return e.version
	}
	return s.floors[id]
}

func (x *idIndex) versionOf(id CredentialID) int64 {
	shard := x.at(id)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	return shard.version(id)
}
