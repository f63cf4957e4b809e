package store

import (
	"context"
	"database/sql"
	"strconv"
	"time"

	"postern/internal/keys"
)

// What the index knows of last uses is never later than what the database holds, so what it finds
// unused is all that is; who asks looks at those once more in the database.

// mostFed bounds the uses that wait to be taken in while somebody searches.
const mostFed = 100_000

// secondsOf is a time in the database as whole seconds since 1970, and at least 1.
func secondsOf(micros int64) uint32 { return uint32(min(max(micros/1e6, 1), 1<<32-1)) }

// readUses reads when everything was last used, the first time, and afterwards takes in what
// checkpoints wrote since.
func (x *searchIndex) readUses(ctx context.Context, db *sql.DB, placeholders func(string) string) error {
	x.fed.Store(true) // before anything is read: what is committed from here on comes by the feed
	x.feed.Lock()
	uses, lost := x.feed.uses, x.feed.lost
	x.feed.uses, x.feed.lost = nil, false
	x.feed.Unlock()
	for _, u := range uses {
		x.raise(u.Credential, secondsOf(micros(u.At)))
	}
	if x.usesRead = x.usesRead && !lost; x.usesRead {
		return nil
	}
	var last [2]string
	for more := true; more; {
		n, err := x.readSomeUses(ctx, db, placeholders, &last)
		if err != nil {
			return err
		}
		more = n == readChunk
	}
	x.usesRead = true
	return nil
}

// readSomeUses reads the uses after those of the credential and secret of last, and returns how many.
func (x *searchIndex) readSomeUses(ctx context.Context, db *sql.DB, placeholders func(string) string, last *[2]string) (n int, err error) {
	rows, err := db.QueryContext(ctx, placeholders(`SELECT credential, secret, used_at FROM last_used WHERE (credential, secret) > (?, ?)
		ORDER BY credential, secret LIMIT `+strconv.Itoa(readChunk)), last[0], last[1])
	if err != nil {
		return 0, err
	}
	defer rows.Close() // rows.Err tells
	for ; rows.Next(); n++ {
		var at int64
		if err := rows.Scan(&last[0], &last[1], &at); err != nil {
			return n, err
		}
		x.raise(keys.CredentialID(last[0]), secondsOf(at))
	}
	return n, rows.Err()
}

func (x *searchIndex) raise(id keys.CredentialID, since uint32) {
	if slot, there := x.slots[id]; there {
		x.since[slot] = max(x.since[slot], since)
	}
}

// take remembers uses that were written. It waits for nobody: who searches may be reading a million.
func (x *searchIndex) take(ctx context.Context, db *sql.DB, placeholders func(string) string, uses []keys.LastUse) {
	if !x.fed.Load() {
		return
	}
	x.feed.Lock()
	if len(x.feed.uses)+len(uses) > mostFed {
		x.feed.uses, x.feed.lost = nil, true
	} else {
		x.feed.uses = append(x.feed.uses, uses...)
	}
	lost := x.feed.lost
	x.feed.Unlock()
	if lost || !x.mu.TryLock() {
		return
	}
	defer x.mu.Unlock()
	// Credentials that are new must be known first. What goes wrong is left to the next search.
	if x.usesRead && x.refresh(ctx, db) == nil {
		_ = x.readUses(ctx, db, placeholders)
	}
}

// unusedSince is the filter's time for the index; 0 for none.
func unusedSince(t time.Time) uint32 {
	if t.IsZero() {
		return 0
	}
	return secondsOf(micros(t))
}
