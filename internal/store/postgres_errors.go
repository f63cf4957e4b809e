package store

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"postern/internal/keys"
)

// The SQLSTATEs that are told apart (postgresql.org/docs/current/errcodes-appendix.html).
const (
	stateUniqueViolation      = "23505"
	stateDiskFull             = "53100"
	stateSerializationFailure = "40001"
	stateDeadlock             = "40P01"
	stateReadOnly             = "25006"
	stateLockNotAvailable     = "55P03"
	stateDataCorrupted        = "XX001"
	stateIndexCorrupted       = "XX002"
)

// unavailableStates are the classes and states of a server that cannot serve now: connections, resources,
// operators, timeouts, sign-in, the whole database, rights.
var unavailableStates = []string{"08", "28", "3D", "53", "57", "58", stateLockNotAvailable, "25P03", "25P04", stateReadOnly, stateSerializationFailure, stateDeadlock, "42501"}

func classifyPostgres(err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		if unreached(err) {
			return keys.ErrStoreUnavailable
		}
		return nil
	}
	switch e.Code {
	case stateDiskFull:
		return keys.ErrStorageFull
	case stateUniqueViolation:
		return keys.ErrDuplicate
	}
	for _, state := range unavailableStates {
		if strings.HasPrefix(e.Code, state) {
			return keys.ErrStoreUnavailable
		}
	}
	return nil
}

// unreached tells whether an error that the server did not send says that it was not heard. Whether a
// caller hung up has been looked at before.
func unreached(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.Timeout(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "conn closed")
}

// damagedPostgres tells whether the server found its own files broken.
func damagedPostgres(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == stateDataCorrupted || e.Code == stateIndexCorrupted)
}

// transientPostgres tells whether a transaction that ended so before its commit may go well the next time:
// it lost against another, waited for one, or its connection ended.
func transientPostgres(err error) bool {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code == stateSerializationFailure || e.Code == stateDeadlock || e.Code == stateReadOnly || e.Code == stateLockNotAvailable ||
			strings.HasPrefix(e.Code, "57P") || strings.HasPrefix(e.Code, "08")
	}
	var connect *pgconn.ConnectError
	// Who waited once for nothing does not wait again.
	return !errors.As(err, &connect) && !pgconn.Timeout(err) && !errors.Is(err, os.ErrDeadlineExceeded) &&
		!errors.Is(err, context.DeadlineExceeded) && unreached(err)
}

// definitePostgres tells whether a commit that ended so did not happen: the server said that it undid the
// transaction. What ends the whole session may have come after it.
func definitePostgres(err error) bool {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.SeverityUnlocalized == "ERROR"
	}
	return errors.Is(err, pgx.ErrTxCommitRollback)
}
