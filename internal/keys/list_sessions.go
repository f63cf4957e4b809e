package keys

import (
	"context"
	"slices"
	"strconv"
)

// Sessions lists where a person is signed in, newest first: oneself, or with users.manage somebody else.
// Sessions that are over are left out.
func (r *Registry) Sessions(ctx context.Context, a Actor, id UserID) ([]Session, error) {
	if _, err := r.sessionsOwner(ctx, r.store, a, id); err != nil {
		return nil, err
	}
	list, err := r.store.Sessions(ctx, id)
	if err != nil {
		return nil, r.failure("list sessions", err)
	}
	return slices.DeleteFunc(list, func(s Session) bool {
		return !r.vault.SessionIntact(&s) || !s.live(r.now())
	}), nil
}

// sessionsOwner reads whose sessions the actor is about to see or end.
func (r *Registry) sessionsOwner(ctx context.Context, from Reader, a Actor, id UserID) (User, error) {
	if a.self(id) {
		return r.knownUser(ctx, from, a, id)
	}
	return r.managedUser(ctx, from, a, id, UsersManage)
}

// EndSessions ends one session of a person, or all of them with session "", and returns how many that
// were. A session that is not there: not_found.
func (r *Registry) EndSessions(ctx context.Context, a Actor, id UserID, session SessionID) (ended int, err error) {
	err = r.change(ctx, "end sessions", func(ctx context.Context, tx Tx) error {
		u, err := r.sessionsOwner(ctx, tx, a, id)
		if err != nil {
			return err
		}
		if session == "" {
			ended, err = tx.DeleteSessions(ctx, id)
		} else {
			ended, err = 1, r.endOne(ctx, tx, id, session)
		}
		if err != nil || ended == 0 {
			return err
		}
		return r.record(ctx, tx, a, u.chain(), "session.ended", string(id), details("session", string(session), "count", strconv.Itoa(ended)))
	})
	return ended, err
}

func (r *Registry) endOne(ctx context.Context, tx Tx, id UserID, session SessionID) error {
	list, err := tx.Sessions(ctx, id)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(s Session) bool { return s.ID == session })
	if i < 0 {
		return absent("session", string(session))
	}
	return tx.DeleteSession(ctx, list[i].Digest)
}
