package gateway

import (
	"slices"
	"sync"
	"time"
)

// idleLooks is how many looks make upstreamIdle. A connection is closed at the last of them, so it
// waits for a little less.
const idleLooks = 6

// idleConns are lean connections between two requests, the latest taken first. Those that waited too
// long, or were closed by the upstream meanwhile, are found by one timer for all.
type idleConns struct {
	every time.Duration // between two looks
	most  int           // per host

	mu     sync.Mutex
	byHost map[string][]*leanConn // the latest last
	looks  int
	timer  *time.Timer // to the next look; nil while none waits
	shut   bool        // none may wait any more
}

// take returns a connection to the host on which nothing has come since its last answer; nil when
// there is none.
func (s *idleConns) take(host string) *leanConn {
	for {
		s.mu.Lock()
		waiting := s.byHost[host]
		last := len(waiting) - 1
		if last < 0 {
			s.mu.Unlock()
			return nil
		}
		c := waiting[last]
		waiting[last] = nil
		s.byHost[host] = waiting[:last]
		s.mu.Unlock()
		if c.quiet() {
			return c
		}
		_ = c.Close()
	}
}

// put lets a connection wait for its next request, or closes it.
func (s *idleConns) put(c *leanConn) {
	if !s.keep(c) {
		_ = c.Close()
	}
}

func (s *idleConns) keep(c *leanConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.byHost[c.host]
	if s.shut || len(waiting) >= s.most {
		return false
	}
	if s.byHost == nil {
		s.byHost = make(map[string][]*leanConn)
	}
	c.since = s.looks
	s.byHost[c.host] = append(waiting, c)
	if s.timer == nil {
		s.timer = time.AfterFunc(s.every, s.look)
	}
	return true
}

// look closes what waited too long or was closed by the upstream, and looks again later if any are
// left.
func (s *idleConns) look() {
	s.mu.Lock()
	s.looks++
	hosts := make([]string, 0, len(s.byHost))
	for host := range s.byHost {
		hosts = append(hosts, host)
	}
	s.mu.Unlock()
	for _, host := range hosts {
		for i, more := 0, true; more; {
			i, more = s.inspect(host, i)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.shut:
	case len(s.byHost) > 0:
		s.timer.Reset(s.every)
	default:
		s.timer = nil
	}
}

// inspect looks at the connection at place i and returns the next place, if there is one. Requests
// come between two of them, and take from the other end.
func (s *idleConns) inspect(host string, i int) (next int, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.byHost[host]
	switch {
	case len(waiting) == 0:
		delete(s.byHost, host)
		return i, false
	case i >= len(waiting):
		return i, false
	}
	c := waiting[i]
	if s.looks-c.since < idleLooks && c.quiet() {
		return i + 1, true
	}
	_ = c.Close()
	s.byHost[host] = slices.Delete(waiting, i, i+1)
	return i, true
}

// close closes all that wait. What comes back later is closed too.
func (s *idleConns) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
	if s.timer != nil {
		s.timer.Stop()
	}
	for _, waiting := range s.byHost {
		for _, c := range waiting {
			_ = c.Close()
		}
	}
	s.byHost = nil
}
