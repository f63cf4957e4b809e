package limiter

import "strings"

// table finds subjects by id: open addressing, linear probing, at most half full. It is here
// instead of a Go map because the hash that chose the shard serves again, a lookup mostly touches
// one cache line, and sweep can go through it a few places at a time.
type table struct {
	slots []slot // a power of two long, or nil
	held  int
}

const smallestTable = 8

// slot is free when subject is nil.
type slot struct {
	hash    uint64
	subject *subject
}

// find returns the subject of that id, nil if there is none.
func (t *table) find(hash uint64, id string) *subject {
	if t.held == 0 {
		return nil
	}
	mask := uint64(len(t.slots) - 1)
	for i := hash & mask; t.slots[i].subject != nil; i = (i + 1) & mask {
		if s := &t.slots[i]; s.hash == hash && s.subject.id == id {
			return s.subject
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
	if 2*(t.held+1) > len(t.slots) {
		t.resize(max(smallestTable, 2*len(t.slots)))
	}
	s := &subject{id: strings.Clone(id)}
	t.put(slot{hash, s})
	t.held++
	return s
}

func (t *table) resize(length int) {
	old := t.slots
	t.slots = make([]slot, length)
	for _, s := range old {
		if s.subject != nil {
			t.put(s)
		}
	}
}

func (t *table) put(s slot) {
	mask := uint64(len(t.slots) - 1)
	i := s.hash & mask
	for t.slots[i].subject != nil {
		i = (i + 1) & mask
	}
	t.slots[i] = s
}

// remove frees slot i and moves later ones up, so that no search ends before its goal. A table that
// was once much fuller becomes smaller.
func (t *table) remove(i uint64) {
	mask := uint64(len(t.slots) - 1)
	t.held--
	for j := (i + 1) & mask; t.slots[j].subject != nil; j = (j + 1) & mask {
		// The one at j may move to i unless its home lies behind i.
		if home := t.slots[j].hash & mask; (j-home)&mask >= (j-i)&mask {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = slot{}
	if n := len(t.slots) / 4; n >= smallestTable && t.held <= n/4 {
		t.resize(n)
	}
}
