package store

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"postern/internal/socket"
)

// dialer makes connections that notice when nobody is there any more.
type dialer struct {
	limit   time.Duration // for the dial
	silence time.Duration // see patientConn; 0: none
}

func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	// The kernel asks after a connection that is silent: the one that listens is, and one whose state a
	// firewall has dropped would be for ever.
	nd := net.Dialer{Timeout: d.limit, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3}}
	c, err := nd.DialContext(ctx, network, address)
	if err != nil || d.silence == 0 {
		return c, err
	}
	return &patientConn{Conn: c, silence: d.silence}, nil
}

// patientConn is a connection on which whoever waits longer than silence for the next byte gets a timeout.
// The driver reads only while an answer is due. That bounds everything at once, also what has no context:
// commits and statements that are never cut.
type patientConn struct {
	net.Conn
	silence time.Duration

	mu    sync.Mutex
	limit time.Time // the driver's own deadline; zero: none
}

func (c *patientConn) Read(b []byte) (int, error) {
	if err := c.arm(c.Conn.SetReadDeadline); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *patientConn) Write(b []byte) (int, error) {
	if err := c.arm(c.Conn.SetWriteDeadline); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *patientConn) arm(set func(time.Time) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := time.Now().Add(c.silence)
	if !c.limit.IsZero() && c.limit.Before(at) {
		at = c.limit
	}
	return set(at)
}

// SetDeadline is how the driver cuts a call short, in the middle of a Read too.
func (c *patientConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = t
	return c.Conn.SetDeadline(t)
}

// writable refuses a connection to a server that only reads.
func writable(ctx context.Context, conn *pgconn.PgConn) error {
	result := conn.ExecParams(ctx, "SHOW transaction_read_only", nil, nil, nil, nil).Read()
	if result.Err != nil {
		return result.Err
	}
	if len(result.Rows) == 1 && string(result.Rows[0][0]) == "on" {
		return errors.New("the server is a standby, or only reads")
	}
	return nil
}

// reach remembers for a moment that a dial waited in vain: of the many that wait for a connection each would
// wait for a dial of its own, one after another.
type reach struct {
	mu  sync.Mutex
	at  time.Time
	err error
}

// unreachedFor is how long a dial that failed after dialedLong stands for the next ones. One that is refused
// at once costs nobody time.
const (
	unreachedFor = 250 * time.Millisecond
	dialedLong   = time.Second
)

func (r *reach) pool(config *pgx.ConnConfig, size int, options ...stdlib.OptionOpenDB) *sql.DB {
	options = append(options, stdlib.OptionResetSession(stillOpen))
	db := sql.OpenDB(&connector{Connector: stdlib.GetConnector(*config, options...), reach: r})
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db
}

// stillOpen has a connection dropped that ended while it waited in the pool: what is sent on one that the server has
// left, as it does when it is restarted, fails although the server is there again. The driver itself looks only at
// those that waited for a second.
func stillOpen(_ context.Context, conn *pgx.Conn) error {
	c := conn.PgConn().Conn()
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if p, ok := c.(*patientConn); ok {
		c = p.Conn
	}
	if s, ok := c.(syscall.Conn); ok && !socket.Quiet(s) {
		return driver.ErrBadConn
	}
	return nil
}

func (r *reach) remember(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at, r.err = time.Now(), err
}

// connector dials unless that has just failed.
type connector struct {
	driver.Connector
	reach *reach
}

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	r := c.reach
	r.mu.Lock()
	err, age := r.err, time.Since(r.at)
	r.mu.Unlock()
	if err != nil && age < unreachedFor {
		return nil, fmt.Errorf("tried %s ago: %w", age.Round(time.Millisecond), err)
	}
	begin := time.Now()
	conn, err := c.Connector.Connect(ctx)
	switch {
	case err == nil:
		r.remember(nil)
	case time.Since(begin) >= dialedLong:
		r.remember(err) // also for a caller whose patience ended
	}
	return conn, err
}
