package keys

import (
	"sync"
	"sync/atomic"
	"time"
)

// DirectoryStats is what the metrics directory_keys{status} and directory_lag_seconds show.
type DirectoryStats struct {
	ByStatus map[Status]int // every status has its entry
	Lag      time.Duration  // since the last successful read of the store
	Applied  Seq
	// OldPepper counts the secrets under a superseded pepper, of credentials that may be admitted or
	// could be again.
	OldPepper int
	Forged    int64 // rows of credentials, secrets and listed tokens that did not authenticate, since the start
}

// statsAge is for how long counts are given out again while nothing changed but time: counting
// visits every credential.
const statsAge = 5 * time.Second

type statsCache struct {
	changes  atomic.Int64
	mu       sync.Mutex
	counted  int64 // changes at the time of the count, +1
	at       time.Time
	byStatus map[Status]int
	old      int
}

func (c *statsCache) changed() { c.changes.Add(1) }

// Lag is the time since the last successful read of the store.
func (d *Directory) Lag(now time.Time) time.Duration { return d.lag(now) }

// Forged is how many rows did not authenticate since the start.
func (d *Directory) Forged() int64 { return d.forged.count.Load() }

// noneDeclared tells that the store was read and holds no declared credential.
func (d *Directory) noneDeclared() bool {
	return d.store != nil && d.loaded.Load() && !d.managed.Load()
}

// Stats counts. It is meant for scrapes, not for requests: with a million credentials a count takes
// some 100 ms, and is kept for 5 s while no credential changes.
func (d *Directory) Stats(now time.Time) DirectoryStats {
	seq, _ := d.progress.at()
	byStatus, old := d.count(now)
	return DirectoryStats{
		ByStatus:  byStatus,
		Lag:       d.lag(now),
		Applied:   seq,
		OldPepper: old,
		Forged:    d.forged.count.Load(),
	}
}

func (d *Directory) count(now time.Time) (map[Status]int, int) {
	c := &d.stats
	c.mu.Lock()
	defer c.mu.Unlock()
	changes := c.changes.Load() + 1
	if age := now.Sub(c.at); c.counted != changes || age < 0 || age > statsAge {
		old, ends := 0, d.storeTime(now)
		byStatus := map[Status]int{Pending: 0, Active: 0, Suspended: 0, Expired: 0, Revoked: 0, Denied: 0}
		for i := range d.ids.shards {
			d.ids.shards[i].table.each(func(e *entry) {
				status := e.statusAt(ends)
				byStatus[status]++
				if status == Active || status == Suspended || status == Pending {
					old += int(e.old)
				}
			})
		}
		c.counted, c.at, c.byStatus, c.old = changes, now, byStatus, old
	}
	out := make(map[Status]int, len(c.byStatus))
	for s, n := range c.byStatus {
		out[s] = n
	}
	return out, c.old
}
