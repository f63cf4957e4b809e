package store

import (
	"bytes"
	"context"
	"database/sql"
	"slices"
	"sort"
	"strings"
	"sync"

	"postern/internal/keys"
)

// searchIndex holds in memory what a search looks at of each live credential: about 120 bytes of each.
// It is read from the database at the first search, which takes seconds for a million, and brought up to
// date before each further one.
//
// Tried before: a scan by the database takes seconds for a million rows; an index of every three
// characters (SQLite's FTS5 with its trigram tokenizer) made writes ten times as slow, and was left
// damaged by a full disk.
type searchIndex struct {
	mu    sync.Mutex
	seq   keys.Seq // every change up to this one is in
	slots map[keys.CredentialID]int32

	// By slot, in the order of entry. A slot whose owner is noOwner is empty: its credential moved to
	// another one, or is gone.
	ids    []keys.CredentialID
	starts []int   // where its text begins in texts
	owners []int32 // which of names its owner is
	empty  int

	texts  []byte // of each slot: folded name, line break, folded id, line break
	names  []string
	byName map[string]int32
}

const noOwner = -1

// find returns the ids of the credentials that have the folded text in name, id or owner's name, if they
// are at most so many.
func (x *searchIndex) find(ctx context.Context, db *sql.DB, text string, most int) (ids []keys.CredentialID, few bool, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.refresh(ctx, db); err != nil {
		return nil, false, err
	}
	ids = []keys.CredentialID{}
	owned := make([]bool, len(x.names))
	someOwn := false
	for i, name := range x.names {
		owned[i] = strings.Contains(name, text)
		someOwn = someOwn || owned[i]
	}
	for at := 0; at < len(x.texts); {
		i := bytes.Index(x.texts[at:], []byte(text))
		if i < 0 {
			break
		}
		slot := sort.SearchInts(x.starts, at+i+1) - 1
		if owner := x.owners[slot]; owner != noOwner && !owned[owner] {
			if len(ids) == most {
				return nil, false, nil
			}
			ids = append(ids, x.ids[slot])
		}
		at = len(x.texts)
		if slot+1 < len(x.starts) {
			at = x.starts[slot+1]
		}
	}
	for slot, owner := range x.owners {
		if !someOwn {
			break
		}
		if owner != noOwner && owned[owner] {
			if len(ids) == most {
				return nil, false, nil
			}
			ids = append(ids, x.ids[slot])
		}
	}
	return ids, true, nil
}

// refresh takes in what changed since the last time.
func (x *searchIndex) refresh(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, "SELECT change_seq, deleted, id, name_key, owner_key FROM credentials WHERE change_seq > "+
		literal(x.seq)+" ORDER BY change_seq")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var seq keys.Seq
		var deleted int
		var id keys.CredentialID
		var name, owner sql.RawBytes
		if err := rows.Scan(&seq, &deleted, &id, &name, &owner); err != nil {
			return err
		}
		x.remove(id)
		if deleted == 0 {
			x.add(id, name, owner)
		}
		x.seq = seq // one by one: a refresh that is interrupted goes on from here
	}
	if err := rows.Err(); err != nil {
		return err
	}
	x.compact()
	return nil
}

func (x *searchIndex) add(id keys.CredentialID, name, owner []byte) {
	if x.slots == nil {
		x.slots, x.byName = map[keys.CredentialID]int32{}, map[string]int32{}
	}
	who, known := x.byName[string(owner)]
	if !known {
		who = int32(len(x.names))
		x.names = append(x.names, string(owner))
		x.byName[x.names[who]] = who
	}
	x.slots[id] = int32(len(x.ids))
	x.ids, x.owners, x.starts = append(x.ids, id), append(x.owners, who), append(x.starts, len(x.texts))
	x.texts = append(append(x.texts, name...), '\n')
	x.texts = append(append(x.texts, strings.ToLower(string(id))...), '\n')
}

func (x *searchIndex) remove(id keys.CredentialID) {
	if slot, there := x.slots[id]; there {
		x.owners[slot] = noOwner
		x.empty++
		delete(x.slots, id)
	}
}

// compact writes the index anew when most of its slots are empty.
func (x *searchIndex) compact() {
	if x.empty < 1000 || x.empty < len(x.ids)/2 {
		return
	}
	fresh := searchIndex{}
	for slot, id := range x.ids {
		if x.owners[slot] == noOwner {
			continue
		}
		end := len(x.texts)
		if slot+1 < len(x.starts) {
			end = x.starts[slot+1]
		}
		name := x.texts[x.starts[slot] : end-len(id)-2]
		fresh.add(id, name, []byte(x.names[x.owners[slot]]))
	}
	x.slots, x.ids, x.starts, x.owners, x.empty = fresh.slots, fresh.ids, fresh.starts, fresh.owners, 0
	x.texts, x.names, x.byName = slices.Clip(fresh.texts), fresh.names, fresh.byName
}
