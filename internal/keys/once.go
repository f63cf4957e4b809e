package keys

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Idempotency makes a request that is sent again take effect once. Its zero value asks for nothing.
type Idempotency struct {
	Key     string   // what the sender calls the request (Idempotency-Key); "" for none
	Request [32]byte // SHA-256 of all that was asked for
}

// Replay is the stored record of a request that took effect.
type Replay struct {
	Key       Digest // of who asked and what he calls the request
	Request   Digest // of what he asked for
	Target    string // id of what it made or changed
	ExpiresAt time.Time
}

// ReplayReader is the part of Reader that finds requests sent again.
type ReplayReader interface {
	// Replay returns the record with this key, expired or not, or ErrNotFound.
	Replay(ctx context.Context, key Digest) (Replay, error)
	// CountReplays counts the records that end after one time, and not after the other.
	CountReplays(ctx context.Context, after, until time.Time) (int, error)
}

// ReplayWriter is the part of Tx that remembers requests.
type ReplayWriter interface {
	// PutReplay writes a record over one that has its key, and takes out some of those that ended
	// before now.
	PutReplay(ctx context.Context, p Replay, now time.Time) error
}

// onceFor is how long a request is remembered.
const onceFor = 24 * time.Hour

// maxOnceKey is the longest name of a request, in bytes.
const maxOnceKey = 255

// madeBefore ends a transaction whose request turns out to have taken effect already.
type madeBefore struct{ target string }

func (m *madeBefore) Error() string { return "the request took effect before, on " + m.target }

// earlier returns what the request made when it took effect before, "" when it has not yet. Another
// request of the same name is refused with idempotency_mismatch.
func (r *Registry) earlier(ctx context.Context, from Reader, a Actor, o Idempotency) (string, error) {
	if o.Key == "" {
		return "", nil
	}
	var wrong fieldErrors
	if wrong.onceKey(o.Key); len(wrong) > 0 {
		return "", wrong.refusal()
	}
	for _, p := range r.vault.peppers {
		record, err := from.Replay(ctx, p.onceKey(a, o))
		switch {
		case errors.Is(err, ErrNotFound):
			continue
		case err != nil:
			return "", r.failure("look for an earlier request", err)
		case !r.now().Before(record.ExpiresAt):
			continue
		case record.Request != p.onceRequest(o):
			return "", &Refusal{
				Code:   IdempotencyMismatch,
				Detail: "Another request was sent with this Idempotency-Key before, and it asked for something else.",
				Hint:   "Give each request a key of its own, and send it again only as it was.",
			}
		}
		return record.Target, nil
	}
	return "", nil
}

// claim notes, in the transaction of a request, that it takes effect on the target; *madeBefore when
// it did already.
func (r *Registry) claim(ctx context.Context, tx Tx, a Actor, o Idempotency, target string) error {
	if o.Key == "" {
		return nil
	}
	made, err := r.earlier(ctx, tx, a, o)
	if err != nil {
		return err
	}
	if made != "" {
		return &madeBefore{made}
	}
	now, p := r.instant(), r.vault.peppers[0]
	return tx.PutReplay(ctx, Replay{Key: p.onceKey(a, o), Request: p.onceRequest(o), Target: target, ExpiresAt: now.Add(onceFor)}, now)
}

// madeEarlier answers a request that took effect before with what it made, as that is now. Its secret
// is not to be seen again.
func (r *Registry) madeEarlier(ctx context.Context, a Actor, target string, err error) (Generated, error) {
	if err != nil {
		return Generated{}, err
	}
	c, err := r.store.Credential(ctx, CredentialID(target), false)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Generated{}, r.failure("read key", err)
	}
	if err != nil || !a.actsIn(c.Tenant) || !r.vault.CredentialIntact(&c) {
		return Generated{}, &Refusal{
			Code:   NotFoundHere,
			Detail: fmt.Sprintf("This request was answered before; the key %s that it was about is gone.", target),
			Hint:   "Send a new request with an Idempotency-Key of its own.",
		}
	}
	return Generated{Credential: r.shown(c), Replayed: true}, nil
}

// onceKey checks the name of a request: it travels in a header and says nothing to us.
func (e *fieldErrors) onceKey(key string) {
	if len(key) > maxOnceKey {
		e.add("Idempotency-Key", "has %d bytes; at most %d are possible", len(key), maxOnceKey)
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			e.add("Idempotency-Key", "has a character other than visible ASCII")
			return
		}
	}
}

// onceKey and onceRequest are what is stored of a request, under this pepper: nobody can tell from
// them what was asked for, or by whom.
func (p *pepper) onceKey(a Actor, o Idempotency) Digest {
	return p.row.of(func(b []byte) []byte { return encodeText(encodeText(encodeText(b, onceKeyLabel), a.subject()), o.Key) })
}

func (p *pepper) onceRequest(o Idempotency) Digest {
	return p.row.of(func(b []byte) []byte { return encodeText(encodeText(b, onceRequestLabel), o.Request[:]) })
}
