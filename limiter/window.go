package limiter

// This file is arithmetic: time is an argument in µs, there is no clock, no lock and no I/O.

// entry is units that were admitted at one time: the latest they can have been admitted at, in µs,
// rounded up to the limit's resolution when it was written.
type entry struct {
	time  int64
	units int64
}

// window is the log of what was admitted, oldest first, with times strictly rising. Only add
// forgets entries, so a verdict depends on nothing but the admissions before it and the time it
// is asked for, even when that time is a little earlier than the last one.
//
// Never over: a unit's time is never below the real one, so if units are added only when slide
// leaves room for them, then (s − width, s] holds at most N at every admission s, and any window
// with admissions in it has a last one.
type window struct {
	units int64   // in the entries after the edge that slide was last given
	last  int64   // the newest entry's time
	ring  []entry // a power of two long, or nil
	head  uint16  // the oldest entry
	size  uint16  // how many entries there are
	gone  uint16  // how many of them are at or before the edge

	marked bool // of a calendar counter: the shard's list of changed ones has it; here it costs no room
}

// smallestRing holds the whole log of most limits per second that people set.
const smallestRing = 4

func (w *window) at(i uint16) *entry {
	return &w.ring[(w.head+i)&uint16(len(w.ring)-1)]
}

// slide moves the window's left edge and returns the units after it. An entry at the edge itself
// has left. Moving back and forth costs what lies between; leaving everything behind costs nothing.
func (w *window) slide(edge int64) int64 {
	if w.size == 0 {
		return 0
	}
	if w.last <= edge {
		w.gone, w.units = w.size, 0
		return 0
	}
	for ; w.gone < w.size && w.at(w.gone).time <= edge; w.gone++ {
		w.units -= w.at(w.gone).units
	}
	for ; w.gone > 0 && w.at(w.gone-1).time > edge; w.gone-- {
		w.units += w.at(w.gone - 1).units
	}
	return w.units
}

// oldest is the time of the first entry after the edge; there must be one.
func (w *window) oldest() int64 { return w.at(w.gone).time }

// freeing is the time of the entry with whose leaving at least units have left; they must be there.
func (w *window) freeing(units int64) int64 {
	for i := w.gone; ; i++ {
		e := w.at(i)
		if units -= e.units; units <= 0 || i+1 == w.size {
			return e.time
		}
	}
}

// full tells whether add at that time needs grow first.
func (w *window) full(time int64) bool {
	return int(w.size-w.gone) == len(w.ring) && (w.size == w.gone || time > w.last)
}

// grow makes room for one more entry; grown tells how long the ring will be.
func (w *window) grow() { w.resize(w.grown()) }

func (w *window) grown() int { return max(smallestRing, 2*len(w.ring)) }

// resize moves what is after the edge into a ring of that length, a power of two and long enough.
func (w *window) resize(length int) {
	ring := make([]entry, length)
	n := w.size - w.gone
	for i := range n {
		ring[i] = *w.at(w.gone + i)
	}
	w.ring, w.head, w.size, w.gone = ring, 0, n, 0
}

// add admits units at a time and forgets what is before the edge. A unit that arrives at or before
// the newest entry joins it: that keeps the log in order when the clock steps back, and short.
func (w *window) add(time, units, grain int64) {
	w.head = (w.head + w.gone) & uint16(len(w.ring)-1)
	w.size -= w.gone
	w.gone = 0
	w.units += units
	if w.size > 0 && time <= w.last {
		w.at(w.size - 1).units += units
		return
	}
	w.last = roundUp(time, grain)
	w.size++
	*w.at(w.size - 1) = entry{w.last, units}
}

// over tells whether everything has left at that edge.
func (w *window) over(edge int64) bool {
	return w.size == 0 || w.last <= edge
}

// roundUp returns the first multiple of grain at or after time.
func roundUp(time, grain int64) int64 {
	if grain == 1 { // the usual one; dividing takes longer than all the rest
		return time
	}
	r := time % grain
	if r > 0 {
		r -= grain
	}
	return time - r
}
