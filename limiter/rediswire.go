package limiter

import (
	_ "embed"
	"encoding/binary"
	"hash/maphash"
	"math"
	"strconv"
)

//go:embed redis.lua
var redisScript string

// What redis.lua reads and answers, in bytes; all numbers are doubles, exact up to 2^53.
const (
	number    = 8
	askedAt   = number             // where the number of askers stands
	headSize  = 2 * number         // cost and askers
	checkSize = 1 + 4*number       // kind and four numbers
	ownAt     = checkSize - number // where this node's own count stands in it
	stateSize = 3 * number
)

// wireArg is an argument of a command. Given by address it reaches the wire without an allocation.
type wireArg struct {
	bytes   []byte
	written *bool // set when the argument is about to be written
}

// MarshalBinary is how go-redis writes it.
func (a *wireArg) MarshalBinary() ([]byte, error) {
	if a.written != nil {
		*a.written = true
	}
	return a.bytes, nil
}

// wire is a query as it is sent: the keys, then what the script is to do. Two queries that may share a
// call have the same bytes.
type wire struct {
	bytes []byte
	ends  []int // of the keys
}

// packed is what follows the keys.
func (w *wire) packed() []byte { return w.bytes[w.ends[len(w.ends)-1]:] }

func (w *wire) key(i int) []byte {
	if i == 0 {
		return w.bytes[:w.ends[0]]
	}
	return w.bytes[w.ends[i-1]:w.ends[i]]
}

func (w *wire) hash(seed maphash.Seed) uint64 { return maphash.Bytes(seed, w.bytes) }

// encode writes q, for a purpose, without own counts.
func (w *wire) encode(q *Query, p purpose) {
	b, ends := w.bytes[:0], w.ends[:0]
	for i := range q.Checks {
		b = appendKey(b, q.Tag, &q.Checks[i])
		ends = append(ends, len(b))
	}
	b = appendNumber(b, q.Cost)
	b = appendNumber(b, int64(p))
	for i := range q.Checks {
		c := &q.Checks[i]
		if c.Limit.Unit == Sliding {
			b = append(b, 0)
			b = appendNumber(b, c.Limit.N)
			b = appendNumber(b, c.Limit.width())
			b = appendNumber(b, c.Limit.grain())
		} else {
			b = append(b, 1)
			b = appendNumber(b, c.Limit.N)
			b = appendNumber(b, c.Span.Start)
			b = appendNumber(b, c.Span.End)
		}
		b = appendNumber(b, 0)
	}
	w.bytes, w.ends = b, ends
}

// appendKey writes a counter's key: postern:{tag}:level:subject:route:window. The window is in ms, or
// the letter of a day or month and the start of it in µs. It holds ids only, and never N.
func appendKey(b []byte, tag string, c *Check) []byte {
	b = append(b, "postern:{"...)
	b = appendPart(b, tag)
	b = append(b, '}', ':')
	return appendName(b, c)
}

// appendName writes what tells counters of one tag apart.
func appendName(b []byte, c *Check) []byte {
	b = append(b, "cotr"[c.Counter.Level], ':')
	b = appendPart(b, c.Counter.Subject)
	b = append(b, ':')
	if c.Counter.Route != "" {
		b = appendPart(b, c.Counter.Route)
	}
	b = append(b, ':')
	switch c.Limit.Unit {
	case Day:
		return strconv.AppendInt(append(b, 'd'), c.Span.Start, 10)
	case Month:
		return strconv.AppendInt(append(b, 'm'), c.Span.Start, 10)
	}
	return strconv.AppendInt(b, c.Limit.width()/1000, 10)
}

// appendPart writes an id so that no id can end a part or a hash tag early, pass for another, or
// leave the tag empty, which would spread keys over the cluster.
func appendPart(b []byte, s string) []byte {
	if s == "" {
		return append(b, '%')
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-', c == '.':
			b = append(b, c)
		default:
			const hex = "0123456789ABCDEF"
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}

func appendNumber(b []byte, n int64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(float64(n)))
}

func putNumber(b []byte, n int64) { binary.LittleEndian.PutUint64(b, math.Float64bits(float64(n))) }

// verdict is what the script answers.
type verdict string

// number reads the i-th one.
func (v verdict) number(i int) int64 {
	var bits uint64
	for k := range number {
		bits |= uint64(v[i*number+k]) << (8 * k)
	}
	return int64(math.Float64frombits(bits))
}

func (v verdict) now() int64     { return v.number(0) }
func (v verdict) granted() int64 { return v.number(1) }

// state returns what is told of check i.
func (v verdict) state(i int) (used, wait, reset int64) {
	return v.number(3*i + 2), v.number(3*i + 3), v.number(3*i + 4)
}

// over tells that some period is not now; fits that it is a verdict on so many checks.
func (v verdict) over() bool           { return len(v) == number }
func (v verdict) fits(checks int) bool { return len(v) == headSize+checks*stateSize }
