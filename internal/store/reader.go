package store

import (
	"database/sql"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"
)

// reader is keys.Reader on a pool of connections or on a running transaction. Each method is one
// statement, so that it sees one state of the database either way.
type reader struct {
	db      bun.IDB
	place   string // where the database is, for people
	dialect dialect
	log     *slog.Logger
	now     func() time.Time
	closed  *atomic.Bool
	pool    *sql.DB      // beneath db; nil in a transaction
	index   *searchIndex // nil in a transaction, which has to see what it wrote
}

// micros and instant carry times in and out: microseconds since 1970. Go's zero time, which means
// none, is the year 1 and so a number like any other: no instant that somebody could set stands
// for it.
func micros(t time.Time) int64 { return t.UnixMicro() }

func instant(us int64) time.Time { return time.UnixMicro(us).UTC() }
