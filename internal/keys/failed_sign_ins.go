package keys

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of what is remembered of failed sign-ins until it is written.
const (
	mostFailedPlaces = 10_000 // chain, address and minute
	mostFailedUsers  = 20     // named in one entry
)

// failedSignIns gathers failed sign-ins until they are written to the audit, one entry for each chain,
// address and minute: an entry for each failure would let a stranger fill the disk.
type failedSignIns struct {
	mu     sync.Mutex
	places map[failedPlace]*failedCount
}

type failedPlace struct {
	chain   string
	address netip.Addr // invalid for those beyond the bound
	minute  time.Time
}

type failedCount struct {
	n     int
	users []UserID
}

// add counts one. Whom it was about is told only when there is such a person: what else was typed may
// be a password.
func (f *failedSignIns) add(u *User, address netip.Addr, now time.Time) {
	place := failedPlace{chain: ProviderChain, address: address.Unmap(), minute: now.UTC().Truncate(time.Minute)}
	if u != nil {
		place.chain = u.chain()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.places == nil {
		f.places = map[failedPlace]*failedCount{}
	}
	count := f.places[place]
	if count == nil && len(f.places) >= mostFailedPlaces {
		place.address = netip.Addr{}
		count = f.places[place]
	}
	if count == nil {
		count = &failedCount{}
		f.places[place] = count
	}
	count.n++
	if u != nil && len(count.users) < mostFailedUsers {
		count.users = sortedSet(append(count.users, u.ID))
	}
}

// take removes the minutes that are over, or all.
func (f *failedSignIns) take(before time.Time) map[failedPlace]*failedCount {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[failedPlace]*failedCount{}
	for place, count := range f.places {
		if place.minute.Before(before) {
			out[place] = count
			delete(f.places, place)
		}
	}
	return out
}

// giveBack returns what could not be written.
func (f *failedSignIns) giveBack(m map[failedPlace]*failedCount) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for place, count := range m {
		if f.places == nil {
			f.places = map[failedPlace]*failedCount{}
		}
		f.places[place] = count
	}
}

// RecordFailedSignIns writes the failed sign-ins of every minute that is over to the audit, until ctx
// ends, and then what is left. It returns nil; what cannot be written is tried again a minute later.
func (r *Registry) RecordFailedSignIns(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := r.FlushFailedSignIns(ctx, r.instant().Truncate(time.Minute)); err != nil && ctx.Err() == nil {
				r.log.Error("failed sign-ins could not be written to the audit; they are kept and tried again", "error", err)
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyPatience)
			defer cancel()
			if err := r.FlushFailedSignIns(last, r.instant().Add(time.Minute)); err != nil {
				r.log.Error("failed sign-ins of the last minute are missing in the audit", "error", err)
			}
			return nil
		}
	}
}

// FlushFailedSignIns writes the failed sign-ins of the minutes before an instant.
func (r *Registry) FlushFailedSignIns(ctx context.Context, before time.Time) error {
	taken := r.failed.take(before)
	if len(taken) == 0 {
		return nil
	}
	err := r.change(ctx, "record failed sign-ins", func(ctx context.Context, tx Tx) error {
		for place, count := range taken {
			target := ""
			if len(count.users) == 1 {
				target = string(count.users[0])
			}
			a := systemActor()
			a.Address = place.address
			err := r.record(ctx, tx, a, place.chain, "session.refused", target, details(
				"count", strconv.Itoa(count.n), "minute", place.minute.Format(time.RFC3339), "users", strings.ReplaceAll(join(count.users), ",", "")))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		r.failed.giveBack(taken)
	}
	return err
}
