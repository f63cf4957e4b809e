package keys

import "time"

// clockReading is what the clock of a shared store showed at a reading of the clocks here.
type clockReading struct {
	here  instantRead
	there time.Time
}

// Now is the present time by the clock that credentials end by: that of a shared store, once a Fleet has
// read it, and else the own one.
func (d *Directory) Now() time.Time { return d.storeTime(d.now()) }

// storeTime is what the shared store's clock shows when the own clock shows now. Gateways whose clocks
// are wrong thereby end a credential at one time, and the one that its end was written by. In between
// readings, and while the store cannot be read, what passes is measured here; see elapsed.
func (d *Directory) storeTime(now time.Time) time.Time {
	c := d.clock.Load()
	if c == nil {
		return now
	}
	return c.there.Add(d.elapsed(c.here, now))
}

// readClock takes in that the shared store's clock showed there at some time between two readings of the
// clocks here. So it shows now what it showed, at least, and at most that and the time between. What
// was known already is only corrected to lie in between: one slow answer spoils nothing. It is called
// by one goroutine at a time.
func (d *Directory) readClock(there time.Time, began, ended instantRead) {
	if !d.shared {
		return
	}
	within := d.elapsed(began, ended.at)
	present := there.Add(within / 2)
	if d.clock.Load() != nil {
		present = d.storeTime(ended.at)
		if latest := there.Add(within); present.After(latest) {
			present = latest
		}
		if present.Before(there) {
			present = there
		}
	}
	d.clock.Store(&clockReading{here: ended, there: present})
}
