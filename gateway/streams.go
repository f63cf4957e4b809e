package gateway

import (
	"net/http"
	"sync"
	"time"

	"postern/internal/keys"
)

// recheckEvery is how often the credentials of open streams and tunnels are looked at again, so
// that a revoked key's are closed well within 2 s.
const recheckEvery = 500 * time.Millisecond

// rechecker is what a Directory may be able to tell besides: whether a principal that was admitted
// still would be.
type rechecker interface {
	Recheck(p *keys.Principal, now time.Time) keys.Code
}

// streams are the answers without an announced end, tunnels among them. Their credential may end
// before they do.
type streams struct {
	directory rechecker // nil: nothing is looked at again
	now       func() time.Time
	every     time.Duration

	mu    sync.Mutex
	open  map[*stream]struct{}
	timer *time.Timer // to the next look; nil while nothing is open
}

type stream struct {
	principal *keys.Principal
	cut       func()
}

// add enters a stream; nil when there is no need to.
func (s *streams) add(p *keys.Principal, cut func()) *stream {
	if s.directory == nil || p == nil {
		return nil
	}
	entry := &stream{principal: p, cut: cut}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[*stream]struct{})
	}
	s.open[entry] = struct{}{}
	if s.timer == nil {
		s.timer = time.AfterFunc(s.every, s.recheck)
	}
	return entry
}

// remove returns when the stream is not going to be cut any more.
func (s *streams) remove(entry *stream) {
	if entry == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, entry)
	if len(s.open) == 0 && s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// recheck cuts what is not admitted any more, and looks again later if anything is left. A directory
// that cannot answer cuts nothing: what is admitted stays so until somebody revokes it.
func (s *streams) recheck() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for entry := range s.open {
		switch s.directory.Recheck(entry.principal, now) {
		case keys.Admitted, keys.DirectoryUnavailable:
		default:
			entry.cut()
			delete(s.open, entry)
		}
	}
	switch {
	case s.timer == nil: // the last one left while this look was due
	case len(s.open) > 0:
		s.timer.Reset(s.every)
	default:
		s.timer = nil
	}
}

// cutStream ends an answer from outside its handler: HTTP/1 by the read that watches for the
// client to leave, HTTP/2 by resetting the stream.
func cutStream(w http.ResponseWriter) func() {
	control := http.NewResponseController(w)
	return func() {
		past := time.Unix(1, 0)
		_ = control.SetReadDeadline(past)
		_ = control.SetWriteDeadline(past)
	}
}
