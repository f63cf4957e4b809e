package keys

import (
	"encoding/binary"
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// entryTable finds entries by a hash: open addressing over buckets of one cache line. Whoever reads
// takes no lock, so requests on many cores do not meet; writers hold the lock of the shard that the
// table belongs to. An entry may stand in it under several hashes, and several under one.
type entryTable struct {
	buckets atomic.Pointer[[]bucket] // a power of two long, or nil
	drops   atomic.Uint32            // how often drop took somebody out, see find
	held    int
}

// bucket holds up to five entries with 32 bits of the hash of each, so that strangers are passed over
// without a look at them, and a table grows without one at anybody. passed counts the entries that
// found no room here and went on to a later bucket: where it is 0 a search ends.
type bucket struct {
	tags    [bucketPlaces]atomic.Uint32 // 0: free
	passed  atomic.Uint32
	entries [bucketPlaces]atomic.Pointer[entry]
}

const (
	bucketPlaces = 5
	bucketFill   = 4 // entries for each bucket when a table is made larger
)

// tagOf is what a bucket keeps of a hash; its bits above those are free to choose a shard by.
func tagOf(hash uint64) uint32 { return uint32(hash) | 1 }

// home is the bucket where a search begins. The tag's lowest bit says nothing.
func home(tag uint32, buckets []bucket) int { return int(tag>>1) & (len(buckets) - 1) }

// find returns the first entry under the hash that is the one meant, nil if there is none. One that was
// put in while another that is meant too was taken out could be missed in passing, were the search not
// made again then.
func (t *entryTable) find(hash uint64, meant func(*entry) bool) *entry {
	for {
		drops := t.drops.Load()
		if e := t.search(hash, meant); e != nil || t.drops.Load() == drops {
			return e
		}
	}
}

func (t *entryTable) search(hash uint64, meant func(*entry) bool) *entry {
	p := t.buckets.Load()
	if p == nil {
		return nil
	}
	buckets, tag := *p, tagOf(hash)
	at := home(tag, buckets)
	for range buckets {
		b := &buckets[at]
		for i := range b.tags {
			if b.tags[i].Load() != tag {
				continue
			}
			// A writer may have put somebody else there meanwhile, who is then not meant.
			if e := b.entries[i].Load(); e != nil && meant(e) {
				return e
			}
		}
		if b.passed.Load() == 0 {
			return nil
		}
		at = (at + 1) & (len(buckets) - 1)
	}
	return nil
}

// put makes next known under the hash, in the place of old if old is known under it.
func (t *entryTable) put(hash uint64, old, next *entry) {
	if t.swap(hash, func(e *entry) bool { return e == old || e == next }, next) {
		return
	}
	var buckets []bucket
	if p := t.buckets.Load(); p != nil {
		buckets = *p
	}
	if t.held+1 > bucketFill*len(buckets) {
		buckets = larger(buckets)
		t.buckets.Store(&buckets)
	}
	insert(buckets, tagOf(hash), next)
	t.held++
}

// swap puts next in the place of the first entry under the hash that is the one meant.
func (t *entryTable) swap(hash uint64, meant func(*entry) bool, next *entry) (found bool) {
	return t.visit(hash, func(b *bucket, i int) bool {
		if !meant(b.entries[i].Load()) {
			return false
		}
		b.entries[i].Store(next)
		return true
	})
}

// drop takes an entry out that is known under the hash, and does nothing if it is not.
func (t *entryTable) drop(hash uint64, old *entry) {
	var end *bucket
	t.visit(hash, func(b *bucket, i int) bool {
		if b.entries[i].Load() != old {
			return false
		}
		t.drops.Add(1) // before, so that whoever misses old knows
		b.tags[i].Store(0)
		b.entries[i].Store(nil)
		end = b
		return true
	})
	if end == nil {
		return
	}
	t.held--
	buckets := *t.buckets.Load()
	for at := home(tagOf(hash), buckets); &buckets[at] != end; at = (at + 1) & (len(buckets) - 1) {
		buckets[at].passed.Add(^uint32(0))
	}
}

// visit calls fn for each place with that hash until it returns true, for writers.
func (t *entryTable) visit(hash uint64, fn func(b *bucket, i int) bool) bool {
	p := t.buckets.Load()
	if p == nil {
		return false
	}
	buckets, tag := *p, tagOf(hash)
	at := home(tag, buckets)
	for range buckets {
		b := &buckets[at]
		for i := range b.tags {
			if b.tags[i].Load() == tag && fn(b, i) {
				return true
			}
		}
		if b.passed.Load() == 0 {
			return false
		}
		at = (at + 1) & (len(buckets) - 1)
	}
	return false
}

// larger returns twice as many buckets with the same entries. The old ones stay as they are: who
// reads them still finds what he would have found.
func larger(old []bucket) []bucket {
	buckets := make([]bucket, max(1, 2*len(old)))
	for b := range old {
		for i := range old[b].tags {
			if tag := old[b].tags[i].Load(); tag != 0 {
				insert(buckets, tag, old[b].entries[i].Load())
			}
		}
	}
	return buckets
}

// insert takes the first free place; there is one.
func insert(buckets []bucket, tag uint32, e *entry) {
	for at := home(tag, buckets); ; at = (at + 1) & (len(buckets) - 1) {
		b := &buckets[at]
		for i := range b.tags {
			if b.tags[i].Load() == 0 {
				b.entries[i].Store(e) // before its tag, by which it is found
				b.tags[i].Store(tag)
				return
			}
		}
		b.passed.Add(1)
	}
}

// each calls fn for every entry, once for each hash that it is known under.
func (t *entryTable) each(fn func(*entry)) {
	p := t.buckets.Load()
	if p == nil {
		return
	}
	for b := range *p {
		for i := range (*p)[b].entries {
			if e := (*p)[b].entries[i].Load(); e != nil {
				fn(e)
			}
		}
	}
}

// digestIndex finds entries by digest. Digests are MACs, so nobody without the pepper can choose
// where one lands; their first 8 bytes serve as the hash, and the whole digest is compared
// afterwards. Under one digest there are for an instant two credentials, when a declared key
// changes its name.
type digestIndex [256]digestShard

type digestShard struct {
	mu    sync.Mutex // held by writers
	table entryTable
}

func (x *digestIndex) at(d *Digest) (*digestShard, uint64) {
	return &x[d[8]], binary.LittleEndian.Uint64(d[:8])
}

// find returns the entry and the secret that have the digest, nil when there is none.
func (x *digestIndex) find(d *Digest) (*entry, *entrySecret) {
	shard, hash := x.at(d)
	var secret *entrySecret
	e := shard.table.find(hash, func(e *entry) bool {
		secret = e.match(d)
		return secret != nil
	})
	return e, secret
}

// replace puts next, where it is not nil, in the place of old, where that is not nil. A digest of
// both always finds one of them.
func (x *digestIndex) replace(old, next *entry) {
	if next != nil {
		next.digests(func(d *Digest) {
			shard, hash := x.at(d)
			shard.mu.Lock()
			shard.table.put(hash, old, next)
			shard.mu.Unlock()
		})
	}
	if old != nil {
		old.digests(func(d *Digest) {
			if next == nil || next.match(d) == nil {
				shard, hash := x.at(d)
				shard.mu.Lock()
				shard.table.drop(hash, old)
				shard.mu.Unlock()
			}
		})
	}
}

// idIndex finds entries by id and keeps versions in order: whoever changes a credential holds its
// shard's lock.
type idIndex struct {
	seed   maphash.Seed
	shards [256]idShard
}

type idShard struct {
	mu    sync.Mutex
	table entryTable
	// floors remembers the versions of credentials that are gone, so that a late older change
	// does not bring one back.
	floors map[CredentialID]int64
}

func (x *idIndex) init() { x.seed = maphash.MakeSeed() }

func (x *idIndex) at(id CredentialID) (*idShard, uint64) {
	hash := maphash.String(x.seed, string(id))
	return &x.shards[hash>>56], hash
}

// find returns the entry of a credential, nil when there is none.
func (x *idIndex) find(id CredentialID) *entry {
	shard, hash := x.at(id)
	return shard.find(hash, id)
}

func (s *idShard) find(hash uint64, id CredentialID) *entry {
	return s.table.find(hash, func(e *entry) bool { return e.ID == id })
}

// forget takes an entry out and remembers a version for it. The shard is locked.
func (s *idShard) forget(hash uint64, old *entry, id CredentialID, version int64) {
	if old != nil {
		s.table.drop(hash, old)
	}
	if s.floors == nil {
		s.floors = map[CredentialID]int64{}
	}
	s.floors[id] = version
}

// version is the newest version that was applied of a credential whose entry is e, dead or alive. The
// shard is locked.
func (s *idShard) version(e *entry, id CredentialID) int64 {
	if e != nil {
		return e.version
	}
	return s.floors[id]
}

func (x *idIndex) versionOf(id CredentialID) int64 {
	shard, hash := x.at(id)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	return shard.version(shard.find(hash, id), id)
}
