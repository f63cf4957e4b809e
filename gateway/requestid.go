package gateway

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
)

const (
	headerRequestID   = "X-Request-Id"
	headerTraceparent = "Traceparent"
)

// identify gives the request its id, and a traceparent for the upstream in case the caller sent
// none. Both come from the same 128 random bits and one string. A caller's X-Request-Id counts only
// when a trusted proxy sent it: else anybody could write other people's ids into our log.
func (c *call) identify(r *http.Request, trusted bool) {
	var random [24]byte
	for i := 0; i < len(random); i += 8 {
		binary.LittleEndian.PutUint64(random[i:], rand.Uint64())
	}
	random[0] |= 1  // a trace id of zeros and
	random[16] |= 1 // a parent id of zeros are invalid (W3C Trace Context, 3.2.2)
	text := append(c.text[:0], "00-"...)
	text = hex.AppendEncode(text, random[:16])
	text = append(text, '-')
	text = hex.AppendEncode(text, random[16:])
	// Flag 01 leaves it to the upstream's own sampler whether the trace is recorded.
	text = append(text, "-01"...)
	c.text = text
	c.trace = c.slab.text(text)
	c.id = c.trace[3:35]
	if !trusted {
		return
	}
	if id := first(r.Header[headerRequestID]); saneID(id) {
		c.id = id
	}
}

// saneID bounds what of a proxy's id we repeat in headers and logs.
func saneID(id string) bool {
	if len(id) == 0 || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		switch b := id[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '.', b == '_', b == '-':
		default:
			return false
		}
	}
	return true
}

// saneTrace tells whether a traceparent has the form of version 00, or of a later one.
func saneTrace(t string) bool {
	if len(t) < 55 || t[2] != '-' || t[35] != '-' || t[52] != '-' || t[:2] == "ff" {
		return false
	}
	if len(t) > 55 && (t[:2] == "00" || t[55] != '-') {
		return false
	}
	for i := range 55 {
		b := t[i]
		if b != '-' && (b < '0' || b > '9') && (b < 'a' || b > 'f') {
			return false
		}
	}
	return t[3:35] != "00000000000000000000000000000000" && t[36:52] != "0000000000000000"
}
