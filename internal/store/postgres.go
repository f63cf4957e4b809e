package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
)

// How long is waited for PostgreSQL. A server that answers at all answers a statement or ends it itself
// within statementLimit, so that after silenceLimit without a byte nobody is there.
const (
	dialLimit      = 3 * time.Second // for a connection, unless connect_timeout says otherwise
	lockLimit      = 3 * time.Second // for another gateway's change
	statementLimit = 4 * time.Second
	silenceLimit   = 5 * time.Second
	queueLimit     = 3 * time.Second // for a connection of this process's own
	// schemaLockLimit is for how long a migration waits for a table, and others behind it. It is shorter
	// than the server's deadlock_timeout (1s), so that of two that wait for each other it is the migration
	// that gives way, and no call of a gateway that runs.
	schemaLockLimit = 200 * time.Millisecond
	idleLimit       = 5 * time.Second // of a writer that holds the lock and asks nothing: it is frozen or cut off
)

// application is what the server's own lists call us, unless the address says otherwise.
const application = "postern"

// writers is how many connections write. Changes exclude each other by the head's lock all the same;
// checkpoints, leases and blobs need not wait for a long one.
const writers = 4

// postgresScheme tells whether the address is one of PostgreSQL's.
func postgresScheme(scheme string) bool { return scheme == "postgres" || scheme == "postgresql" }

// openPostgres makes the connection pools of the database that dsn names. Nothing is dialled yet. No
// error repeats the address, which may hold a password.
func openPostgres(dsn string, o Options) (pools, error) {
	config, err := parsePostgres(dsn)
	if err != nil {
		return pools{}, err
	}
	if o.Name != "" {
		config.RuntimeParams["application_name"] = o.Name
	}
	place := fmt.Sprintf("PostgreSQL database %q at %s", config.Database, placeOf(config))
	if config.TLSConfig == nil || config.TLSConfig.InsecureSkipVerify {
		if !local(config.Host) {
			o.Log.Warn("the connection to PostgreSQL is not protected: who is on its way can read and change what is stored; "+
				"add sslmode=verify-full to the address", "database", place)
		}
	}
	reach := &reach{}
	write := reach.pool(postgresSession(config, map[string]string{
		"statement_timeout":                   milliseconds(statementLimit),
		"lock_timeout":                        milliseconds(lockLimit),
		"idle_in_transaction_session_timeout": milliseconds(idleLimit),
	}, silenceLimit), writers, stdlib.OptionAfterConnect(durable))
	read := reach.pool(postgresSession(config, map[string]string{
		"statement_timeout": milliseconds(statementLimit),
		"lock_timeout":      milliseconds(lockLimit),
	}, silenceLimit), max(8, 2*runtime.GOMAXPROCS(0)))
	// A migration takes as long as it takes, once it has its tables.
	schema := reach.pool(postgresSession(config, map[string]string{"statement_timeout": "0", "lock_timeout": milliseconds(schemaLockLimit)}, 0), 2, stdlib.OptionAfterConnect(durable))
	return pools{
		write: write, read: read, schema: schema, dialect: postgresDialect(), place: place,
		listen: postgresSession(config, nil, 0),
	}, nil
}

// CheckAddress tells what is wrong with the address of a PostgreSQL database before it is opened, without
// anything secret of it.
func CheckAddress(dsn string) error {
	_, err := parsePostgres(dsn)
	return err
}

// parsePostgres reads an address. Only the URL form is taken: a password in the other form cannot be told
// from the rest of a text that is wrong.
func parsePostgres(dsn string) (*pgx.ConnConfig, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, errors.New("the address is not a URL: write postgres://USER:PASSWORD@HOST/DATABASE, with % and two hex digits for each special character of the password")
	}
	if torn(dsn, u) {
		return nil, errors.New("the address of PostgreSQL can be read in two ways: write postgres://USER:PASSWORD@HOST/DATABASE, and percent-encode the special characters of the password (/ is %2F, @ is %40, : is %3A, ? is %3F, # is %23)")
	}
	for _, server := range u.Query()["target_session_attrs"] {
		// A standby lags: who reads it does not know the newest revocations.
		if server != "read-write" && server != "primary" {
			return nil, errors.New("the address of PostgreSQL asks by target_session_attrs for a server that may be a standby: leave that out, or write read-write or primary")
		}
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("the address of PostgreSQL cannot be used: %s", withoutAddress(err, u))
	}
	if config.Database == "" {
		return nil, errors.New("the address of PostgreSQL names no database: write postgres://USER:PASSWORD@HOST/DATABASE")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = dialLimit
	}
	if !u.Query().Has("target_session_attrs") {
		// With several hosts, and after a failover: a standby refuses every write.
		config.ValidateConnect = writable
	}
	return config, nil
}

// torn tells whether a password with an unescaped special character may have been cut in two, so that a part
// of it would be taken for a host, a database or a setting, and printed.
func torn(dsn string, u *url.URL) bool {
	_, rest, _ := strings.Cut(dsn, "://")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 && strings.Contains(rest[end:], "@") || u.Fragment != "" {
		return true
	}
	if strings.Contains(strings.TrimPrefix(u.EscapedPath(), "/"), "/") {
		return true
	}
	for host := range strings.SplitSeq(u.Host, ",") {
		if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
			if _, err := strconv.ParseUint(host[colon+1:], 10, 16); err != nil {
				return true
			}
		}
	}
	return false
}

// withoutAddress is what an error of the driver says, if that repeats nothing secret of the address.
func withoutAddress(err error, u *url.URL) string {
	inner := errors.Unwrap(err)
	if inner == nil {
		return "a part of it is not understood"
	}
	secrets := []string{u.String(), u.Query().Get("password"), u.Query().Get("sslpassword")}
	if password, ok := u.User.Password(); ok {
		secrets = append(secrets, password, url.QueryEscape(password))
	}
	text := inner.Error()
	for _, s := range secrets {
		if s != "" && strings.Contains(text, s) {
			return "a part of it is not understood"
		}
	}
	return text
}

// postgresSession is the configuration of a connection with these settings of the session, which ends when
// the server has been silent for so long in the middle of something (0: never).
func postgresSession(config *pgx.ConnConfig, settings map[string]string, silence time.Duration) *pgx.ConnConfig {
	c := config.Copy()
	// The query builder writes values into the text: such a statement is met once and not worth preparing.
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	// What a quote means, how bytes are written and what a transaction sees must not depend on the
	// database's settings.
	for name, value := range map[string]string{
		"standard_conforming_strings": "on", "client_encoding": "UTF8", "bytea_output": "hex", "default_transaction_isolation": "read committed",
	} {
		c.RuntimeParams[name] = value
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = application
	}
	for name, value := range settings {
		c.RuntimeParams[name] = value
	}
	c.DialFunc = dialer{limit: c.ConnectTimeout, silence: silence}.dial
	return c
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// placeOf is where the server is, for people.
func placeOf(c *pgx.ConnConfig) string {
	place := c.Host
	if !strings.HasPrefix(c.Host, "/") {
		place += ":" + strconv.Itoa(int(c.Port))
	}
	return place
}

// local tells whether what is sent to the host stays on this machine.
func local(host string) bool {
	return strings.HasPrefix(host, "/") || host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}

// durable has every commit on the disk before it is acknowledged, as far as the server's own settings
// leave that to a session. Stricter ones (remote_apply) stay.
func durable(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')")
	return err
}

const postgresNow = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

// moveHeadPostgres notifies, which the server does when the transaction commits and not without it, and
// takes out marks that nobody asks for any more: more than it leaves, so that they get fewer.
const moveHeadPostgres = `WITH moved AS (UPDATE head SET seq = $1 WHERE id = 1 AND seq = $2 RETURNING seq),
	marked AS (INSERT INTO commits (mark, made_at) VALUES ($3, ` + postgresNow + `)),
	swept AS (DELETE FROM commits WHERE mark IN
		(SELECT mark FROM commits WHERE made_at < ` + postgresNow + ` - 60000000 ORDER BY made_at LIMIT 10))
	SELECT CASE WHEN seq > $2 THEN pg_notify('` + channel + `', seq::text) END FROM moved`

func postgresDialect() dialect {
	return dialect{
		name:         "postgres",
		bun:          pgdialect.New(),
		goose:        goose.DialectPostgres,
		begin:        beginPostgres,
		snapshot:     &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
		export:       "SELECT pg_export_snapshot()",
		lockHead:     "SELECT seq, pg_current_xact_id()::text FROM head WHERE id = 1 FOR UPDATE",
		moveHead:     moveHeadPostgres,
		now:          postgresNow,
		contains:     "position(? in record) > 0",
		prepared:     []any{pgx.QueryExecModeCacheStatement},
		once:         pgx.QueryExecModeExec,
		placeholders: numbered,
		classify:     classifyPostgres,
		damaged:      damagedPostgres,
		transient:    transientPostgres,
		definite:     definitePostgres,
		outcome:      "SELECT coalesce(pg_xact_status(?::text::xid8), '')",
		marked:       "SELECT EXISTS (SELECT 1 FROM commits WHERE mark = ?)",
		leaveMark:    "INSERT INTO commits (mark, made_at) VALUES ($1, " + postgresNow + ")",
		foreign:      foreignPostgres,
		reach:        func(ctx context.Context, db *sql.DB) error { return db.PingContext(ctx) },
		lockSchema:   lockSchemaPostgres,
		tables: `SELECT t.relname::text, a.attname::text FROM pg_class AS t JOIN pg_attribute AS a ON a.attrelid = t.oid
			WHERE t.relnamespace = current_schema()::text::regnamespace AND t.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
			AND t.relname NOT IN ('goose_db_version', 'commits')`,
		others: `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = '` + application + `'`,
	}
}

// beginPostgres begins a transaction. The end of ctx does not reach the commit: a commit that is torn may
// have happened all the same. Only the wait for a connection is bounded here; everything after has the
// connection's own limits.
func beginPostgres(ctx context.Context, db *bun.DB) (bun.Tx, func(), error) {
	wait, cancel := context.WithTimeout(ctx, queueLimit)
	defer cancel()
	conn, err := db.Conn(wait)
	if err != nil {
		return bun.Tx{}, nil, err
	}
	tx, err := conn.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return bun.Tx{}, nil, errors.Join(err, conn.Close())
	}
	return tx, func() { _ = conn.Close() }, nil // the transaction is over: nothing is lost
}

// numbered turns each ? into $1, $2 and so on. No statement of ours has one in a literal.
func numbered(query string) string {
	var b strings.Builder
	b.Grow(len(query) + 32)
	n := 0
	for {
		before, after, found := strings.Cut(query, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		n++
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
		query = after
	}
}

// foreignPostgres tells whether the schema holds another program's tables, and whether the server and
// database are such as can be used.
func foreignPostgres(ctx context.Context, db *sql.DB) error {
	const look = `SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), coalesce(current_schema(), ''),
		(SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::text::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
			AND relname <> 'goose_db_version'),
		EXISTS (SELECT 1 FROM pg_constraint WHERE conname = 'postern_head' AND connamespace = current_schema()::text::regnamespace)`
	var version, tables int
	var encoding, schema string
	var ours bool
	if err := db.QueryRowContext(ctx, look).Scan(&version, &encoding, &schema, &tables, &ours); err != nil {
		return err
	}
	const oldest = 13
	switch {
	case version < oldest*10000:
		return fmt.Errorf("the server is PostgreSQL %d, and %d is the oldest that can be used", version/10000, oldest)
	case encoding != "UTF8":
		return fmt.Errorf("the database's encoding is %s: make one with ENCODING 'UTF8' TEMPLATE template0", encoding)
	case schema == "":
		return errors.New("the search_path names no schema that exists: make one, or name it by search_path in the address")
	case tables > 0 && !ours:
		return fmt.Errorf("the schema %q of the database holds another program's tables (%d): name a database of its own in store", schema, tables)
	}
	return nil
}

// schemaLock is the number of the advisory lock on the schema: "postern".
const schemaLock = 0x706f737465726e

// lockSchemaPostgres waits until nobody else migrates the database; the result gives the lock back. It
// belongs to a session, so that it goes with a process that is killed.
func lockSchemaPostgres(ctx context.Context, db *sql.DB, log *slog.Logger) (func(), error) {
	const look, patience = 50 * time.Millisecond, 3 * time.Second
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	told := false
	for begin := time.Now(); ; {
		var locked bool
		if err := conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1)", int64(schemaLock)).Scan(&locked); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		if locked {
			break
		}
		if !told && time.Since(begin) > patience {
			log.InfoContext(ctx, "waiting for another program that migrates the database's schema")
			told = true
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), conn.Close())
		case <-time.After(look):
		}
	}
	return func() {
		// Where this fails the session has ended, or ends now, and the lock with it.
		var ended bool
		err := conn.QueryRowContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(schemaLock)).Scan(&ended)
		if err != nil || !ended {
			_ = conn.Raw(func(any) error { return errors.New("do not use it again") })
		}
		_ = conn.Close()
	}, nil
}
