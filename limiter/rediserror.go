package limiter

import (
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// PeriodError is ErrPeriodOver with the time of a shared store, by which the period must be found.
type PeriodError struct{ Now time.Time }

func (e *PeriodError) Error() string {
	return ErrPeriodOver.Error() + ": the store's time is " + e.Now.UTC().Format(time.RFC3339Nano)
}

// Unwrap makes errors.Is find ErrPeriodOver.
func (e *PeriodError) Unwrap() error { return ErrPeriodOver }

// storeError is ErrUnavailable with its cause.
type storeError struct {
	cause      error
	mayHaveRun bool
}

func unavailable(cause error, mayHaveRun bool) error { return &storeError{cause, mayHaveRun} }

func (e *storeError) Error() string   { return ErrUnavailable.Error() + ": " + e.cause.Error() }
func (e *storeError) Unwrap() []error { return []error{ErrUnavailable, e.cause} }

// MayHaveRun tells of an error of Decide whether Redis may have charged the request all the same. It
// must not be sent again then.
func MayHaveRun(err error) bool {
	var e *storeError
	return errors.As(err, &e) && e.mayHaveRun
}

// notAsked tells of an error that the store had no part in it: so much waits here.
func notAsked(err error) bool { return errors.Is(err, errTooLong) || errors.Is(err, errTooMany) }

var (
	errTooLong  = errors.New("waited too long for a connection")
	errTooMany  = errors.New("too many requests wait for a connection")
	errBadReply = errors.New("redis answered something else than a verdict")
)

// rejected are the first words of error replies with which Redis says that it did not run a command.
// Any other error reply may come from within the script.
var rejected = []string{"NOSCRIPT", "MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "CROSSSLOT", "READONLY", "MASTERDOWN",
	"LOADING", "BUSY", "OOM", "MISCONF", "NOREPLICAS", "NOAUTH", "NOPERM", "WRONGPASS", "DENIED", "WRONGTYPE"}

// didNotRun tells of an error whether Redis said so, rather than nobody knowing.
func didNotRun(err error) bool {
	var reply redis.Error
	if !errors.As(err, &reply) {
		return false
	}
	word, _, _ := strings.Cut(strings.TrimPrefix(reply.Error(), "ERR "), " ")
	for _, r := range rejected {
		if word == r {
			return true
		}
	}
	return strings.HasPrefix(reply.Error(), "ERR max number of clients")
}
