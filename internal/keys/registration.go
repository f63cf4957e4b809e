package keys

import "time"

// instantRead is a reading of the clocks, to measure from.
type instantRead struct {
	at    time.Time
	awake time.Duration // DirectoryOptions.Uptime at the same time
}

// registration is what the directory of a shared store may answer by: that others know this node. It
// is replaced as a whole, by the one goroutine that writes heartbeats.
type registration struct {
	renewed instantRead // before the last heartbeat that was committed was begun
	// since is when the node was last entered among those that count: what was read until then may lack
	// changes that nobody waited for this node to confirm.
	since time.Time
}

func (d *Directory) instant() instantRead {
	r := instantRead{at: d.now()}
	if d.uptime != nil {
		r.awake = d.uptime()
	}
	return r
}

// lapse is how far the clocks may run apart before the machine is taken to have slept.
const lapse = time.Second

// elapsed is the time from an earlier reading until now. Go's monotonic clock stands still while the
// machine is suspended, and what was known before would look fresh after it. The wall clock moves on,
// so where the two disagree the machine's uptime is asked, suspension included; only then, because
// that is a system call. A wall clock that was merely set changes nothing.
func (d *Directory) elapsed(from instantRead, now time.Time) time.Duration {
	return d.passed(from, now.Sub(from.at), now.Round(0).Sub(from.at.Round(0)))
}

// passed is elapsed by what the monotonic and the wall clock say.
func (d *Directory) passed(from instantRead, monotonic, wall time.Duration) time.Duration {
	if d.uptime != nil && wall-monotonic > lapse {
		monotonic = max(monotonic, d.uptime()-from.awake)
	}
	return max(0, monotonic)
}

// registered says that a heartbeat was committed that was begun at the given reading. anew says that
// the row was not there before.
func (d *Directory) registered(begun instantRead, anew bool) {
	ended := d.instant()
	next := &registration{renewed: begun, since: ended.at}
	// Between two heartbeats that are no further apart than max_stale the node has always counted.
	if old := d.registration.Load(); old != nil && !anew && d.elapsed(old.renewed, ended.at) <= d.maxStale {
		next.since = old.since
	}
	d.registration.Store(next)
}

// deregister lets the directory of a shared store answer nothing until it is registered again.
func (d *Directory) deregister() { d.registration.Store(nil) }

// trusted tells whether what was read of the store is good to answer by: it is no older than max_stale
// and, where others share the store, they know of this node since before it was read.
func (d *Directory) trusted(now time.Time) bool {
	if d.store == nil {
		return true
	}
	read := d.lastRead.Load()
	if d.shared {
		r := d.registration.Load()
		if r == nil || read == nil || !read.at.After(r.since) || d.maxStale > 0 && d.elapsed(r.renewed, now) > d.maxStale {
			return false
		}
	}
	return d.maxStale <= 0 || read == nil || d.elapsed(*read, now) <= d.maxStale
}
