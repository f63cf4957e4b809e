package store

import (
	"bytes"
	"context"
	"database/sql"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"postern/internal/keys"
)

// searchIndex holds in memory, of each live credential, what a search looks at, which APIs it has and
// about when it was last used: about 140 bytes of each. It is read from the database at the first search, or by Store.WarmSearch,
// which takes seconds for a million, and brought up to date before each further one.
//
// Tried before: a scan by the database takes seconds for a million rows; an index of every three
// characters (SQLite's FTS5 with its trigram tokenizer) made writes ten times as slow, and was left
// damaged by a full disk. PostgreSQL's (pg_trgm) finds in a tenth of a second what has three letters, but
// two letters take it 1.5 s, and writes were 2.5 times as slow.
type searchIndex struct {
	mu    sync.Mutex
	seq   keys.Seq // every change up to this one is in
	slots map[keys.CredentialID]int32

	// By slot, in the order of entry. A slot whose owner is noOwner is empty: its credential moved to
	// another one, or is gone.
	ids    []keys.CredentialID
	starts []int    // where its text begins in texts
	owners []int32  // which of the words its owner's name is
	apis   []int32  // which of the words its APIs are
	since  []uint32 // see secondsOf: when it was made or last used, whichever is later, as far as is known here
	empty  int

	// Last uses are no part of the change feed: checkpoints hand them over.
	fed      atomic.Bool // from before last_used was read on
	usesRead bool
	feed     struct {
		sync.Mutex
		uses []keys.LastUse
		lost bool // there were too many: last_used has to be read again
	}

	texts []byte // of each slot: folded name, line break, folded id, line break
	words []string
	known map[string]int32 // the place of each word
}

const noOwner = -1

// sought is what is looked for: both where both are given.
type sought struct {
	text string // folded part of a name, id or owner's name
	apis string // part of the APIs' column

	unusedSince uint32 // neither made nor used after this second; 0 for any
}

// find returns the ids of the credentials that are looked for, if they are at most so many.
func (x *searchIndex) find(ctx context.Context, db *sql.DB, placeholders func(string) string, what sought, most int) (ids []keys.CredentialID, few bool, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.refresh(ctx, db); err != nil {
		return nil, false, err
	}
	if what.unusedSince > 0 {
		if err := x.readUses(ctx, db, placeholders); err != nil {
			return nil, false, err
		}
	}
	ids = []keys.CredentialID{}
	hasText, hasAPI := x.having(what.text), x.having(what.apis)
	take := func(slot int) bool {
		if x.owners[slot] != noOwner && hasAPI[x.apis[slot]] && (what.unusedSince == 0 || x.since[slot] <= what.unusedSince) {
			ids = append(ids, x.ids[slot])
		}
		return len(ids) <= most
	}
	// By the owner's name, which many share; without a text every owner has it.
	if slices.Contains(hasText, true) {
		for slot, owner := range x.owners {
			if owner != noOwner && hasText[owner] && !take(slot) {
				return nil, false, nil
			}
		}
	}
	for at := 0; what.text != "" && at < len(x.texts); {
		i := bytes.Index(x.texts[at:], []byte(what.text))
		if i < 0 {
			break
		}
		slot := sort.SearchInts(x.starts, at+i+1) - 1
		if owner := x.owners[slot]; owner != noOwner && !hasText[owner] && !take(slot) {
			return nil, false, nil
		}
		at = x.end(slot)
	}
	return ids, true, nil
}

// having tells of each word whether it has the part.
func (x *searchIndex) having(part string) []bool {
	has := make([]bool, len(x.words))
	for i, word := range x.words {
		has[i] = strings.Contains(word, part)
	}
	return has
}

// end is where the text of a slot ends.
func (x *searchIndex) end(slot int) int {
	if slot+1 < len(x.starts) {
		return x.starts[slot+1]
	}
	return len(x.texts)
}

// refresh takes in what changed since the last time.
func (x *searchIndex) refresh(ctx context.Context, db *sql.DB) error {
	for more := true; more; {
		n, err := x.refreshSome(ctx, db)
		if err != nil {
			return err
		}
		more = n == readChunk
	}
	x.compact()
	return nil
}

// readChunk is how many rows are read by one statement where a million may be there: some databases limit
// the time of each.
const readChunk = 50_000

// refreshSome takes in so many changes, and returns how many there were.
func (x *searchIndex) refreshSome(ctx context.Context, db *sql.DB) (n int, err error) {
	rows, err := db.QueryContext(ctx, "SELECT change_seq, deleted, id, name_key, owner_key, apis, created_at FROM credentials WHERE change_seq > "+
		strconv.FormatInt(int64(x.seq), 10)+" ORDER BY change_seq LIMIT "+strconv.Itoa(readChunk))
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for ; rows.Next(); n++ {
		var seq keys.Seq
		var deleted int
		var id keys.CredentialID
		var name, owner, apis sql.RawBytes
		var created int64
		if err := rows.Scan(&seq, &deleted, &id, &name, &owner, &apis, &created); err != nil {
			return n, err
		}
		since := max(secondsOf(created), x.remove(id))
		if deleted == 0 {
			x.add(id, name, owner, apis, since)
		}
		x.seq = seq // one by one: a refresh that is interrupted goes on from here
	}
	return n, rows.Err()
}

func (x *searchIndex) add(id keys.CredentialID, name, owner, apis []byte, since uint32) {
	if x.slots == nil {
		x.slots, x.known = map[keys.CredentialID]int32{}, map[string]int32{}
	}
	x.slots[id] = int32(len(x.ids))
	x.ids, x.starts = append(x.ids, id), append(x.starts, len(x.texts))
	x.owners, x.apis = append(x.owners, x.word(owner)), append(x.apis, x.word(apis))
	x.since = append(x.since, since)
	x.texts = append(append(x.texts, name...), '\n')
	x.texts = append(append(x.texts, strings.ToLower(string(id))...), '\n')
}

// word returns the place of a word that many credentials share.
func (x *searchIndex) word(b []byte) int32 {
	place, known := x.known[string(b)]
	if !known {
		place = int32(len(x.words))
		x.words = append(x.words, string(b))
		x.known[x.words[place]] = place
	}
	return place
}

// remove returns what was known of the credential's last use.
func (x *searchIndex) remove(id keys.CredentialID) (since uint32) {
	slot, there := x.slots[id]
	if !there {
		return 0
	}
	x.owners[slot] = noOwner
	x.empty++
	delete(x.slots, id)
	return x.since[slot]
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
		name := x.texts[x.starts[slot] : x.end(slot)-len(id)-2]
		fresh.add(id, name, []byte(x.words[x.owners[slot]]), []byte(x.words[x.apis[slot]]), x.since[slot])
	}
	x.slots, x.ids, x.starts, x.owners, x.apis, x.since, x.empty = fresh.slots, fresh.ids, fresh.starts, fresh.owners, fresh.apis, fresh.since, 0
	x.texts, x.words, x.known = slices.Clip(fresh.texts), fresh.words, fresh.known
}

// WarmSearch reads what a search needs ahead of the first one, which would have to wait for it.
func (s *Store) WarmSearch(ctx context.Context) error {
	x := s.index
	x.mu.Lock()
	defer x.mu.Unlock()
	err := x.refresh(ctx, s.pool)
	if err == nil {
		err = x.readUses(ctx, s.pool, s.dialect.placeholders)
	}
	return s.fail(ctx, "read what is searched", err)
}
