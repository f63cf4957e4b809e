package gateway

import "strings"

// slab hands out header texts and header values cut from larger pieces of memory. They must outlive
// their call, because net/http writes short answers after the handler returned, so they cannot be
// reused; cutting many from one piece makes them nearly free. A piece lives until the last text or
// value cut from it is gone. Nothing secret goes into it.
type slab struct {
	texts  strings.Builder
	values []string
}

// Of a piece, texts take some twenty requests, values about ten.
const (
	slabText   = 4 << 10
	slabValues = 192
)

// text returns b as a string.
func (s *slab) text(b []byte) string {
	if s.texts.Cap()-s.texts.Len() < len(b) {
		s.texts.Reset()
		s.texts.Grow(max(slabText, len(b)))
	}
	start := s.texts.Len()
	s.texts.Write(b) // never moves what was cut before: there is room
	return s.texts.String()[start:]
}

// take returns n empty values that nobody else has.
func (s *slab) take(n int) []string {
	if len(s.values) < n {
		s.values = make([]string, max(slabValues, n))
	}
	out := s.values[:n:n]
	s.values = s.values[n:]
	return out
}
