package limiter

import "math/bits"

// table finds subjects by id: open addressing over buckets of one cache line each. It is here
// instead of a Go map because the hash that chose the shard serves again, a lookup mostly touches
// one cache line beside the subject itself, and sweep can go through it a few places at a time.
type table struct {
	buckets []bucket // a power of two long, or nil
	held    int
}

// bucket holds up to seven subjects with a byte of the hash of each, so that strangers are passed
// over without a look at them. The eighth byte counts the subjects that found no room here and went
// on to a later bucket: where it is 0 a search ends. At its most it stays until the table is made
// anew, which only makes searches longer.
type bucket struct {
	tags     uint64 // by place, 0 for a free one; the highest byte is the count
	subjects [bucketPlaces]*subject
}

const (
	bucketPlaces = 7
	bucketFill   = 5 // subjects for each bucket when the table is made larger
	passedShift  = 8 * bucketPlaces
	passedMost   = 0xff
	everyByte    = 0x0001010101010101 // of the places
)

// tagOf is never 0. The bits are neither those that choose the shard nor those that choose the bucket
// in any table that fits into memory.
func tagOf(hash uint64) uint64 { return hash>>48&0x7f | 0x80 }

// having has the highest bit of each place set whose tag is the given one; places behind such a
// one may be wrongly set too.
func (b *bucket) having(tag uint64) uint64 {
	x := b.tags ^ tag*everyByte
	return (x - everyByte) &^ x & (everyByte << 7)
}

func placeOf(having uint64) int { return bits.TrailingZeros64(having) / 8 }

func (b *bucket) passed() uint64 { return b.tags >> passedShift }

// find returns the subject of that id, nil if there is none.
func (t *table) find(hash uint64, id string) *subject {
	mask, tag := uint64(len(t.buckets)-1), tagOf(hash)
	for i, n := hash, len(t.buckets); n > 0; i, n = i+1, n-1 {
		b := &t.buckets[i&mask]
		for having := b.having(tag); having != 0; having &= having - 1 {
			if s := b.subjects[placeOf(having)]; s != nil && s.hash == hash && s.is(id) {
				return s
			}
		}
		if b.passed() == 0 {
			return nil
		}
	}
	return nil
}

// ensure returns the subject of that id, a new one if there is none. The id is copied: it is often
// a piece of a request that should not stay in memory.
func (t *table) ensure(hash uint64, id string) *subject {
	if s := t.find(hash, id); s != nil {
		return s
	}
	if t.held+1 > bucketFill*len(t.buckets) {
		t.resize(max(1, 2*len(t.buckets)))
	}
	s := newSubject(hash, id)
	t.put(s)
	t.held++
	return s
}

func (t *table) resize(length int) {
	old := t.buckets
	t.buckets = make([]bucket, length)
	for i := range old {
		for _, s := range old[i].subjects {
			if s != nil {
				t.put(s)
			}
		}
	}
}

// put takes the first free place; there is one.
func (t *table) put(s *subject) {
	mask := uint64(len(t.buckets) - 1)
	for i := s.hash; ; i++ {
		b := &t.buckets[i&mask]
		if free := b.having(0); free != 0 {
			place := placeOf(free)
			b.subjects[place] = s
			b.tags |= tagOf(s.hash) << (8 * place)
			return
		}
		if b.passed() < passedMost {
			b.tags += 1 << passedShift
		}
	}
}

// at returns who is at a place of the whole table, nil if nobody is.
func (t *table) at(place uint64) *subject {
	return t.buckets[place/bucketPlaces].subjects[place%bucketPlaces]
}

// places is how many there are.
func (t *table) places() uint64 { return uint64(len(t.buckets)) * bucketPlaces }

// remove frees the place of who is there. A table that was once much fuller becomes smaller.
func (t *table) remove(place uint64) {
	mask := uint64(len(t.buckets) - 1)
	end, in := place/bucketPlaces, place%bucketPlaces
	s := t.buckets[end].subjects[in]
	for i := s.hash & mask; i != end; i = (i + 1) & mask {
		if b := &t.buckets[i]; b.passed() < passedMost {
			b.tags -= 1 << passedShift
		}
	}
	b := &t.buckets[end]
	b.subjects[in] = nil
	b.tags &^= 0xff << (8 * in)
	t.held--
	if n := len(t.buckets) / 4; n > 0 && t.held <= n {
		t.resize(n)
	}
}
