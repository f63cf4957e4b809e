package admin

import (
	"context"
	"time"

	"postern/internal/keys"
)

const (
	listSessionsDoc = "Lists where a person is signed in, newest first: oneself, or with users.manage somebody else."
	endSessionsDoc  = "Signs a person out everywhere: oneself, or with users.manage somebody else."
	endSessionDoc   = "Ends one session: one's own, or with users.manage somebody else's."
)

// Session is where a person is signed in.
type Session struct {
	ID        string    `json:"id" doc:"ses_ and 12 characters; no part of it is secret." example:"ses_3fT9qLw2ZcYh"`
	Address   string    `json:"address" doc:"Where it was opened from." example:"192.0.2.7"`
	CreatedAt time.Time `json:"created_at" doc:"When he signed in." example:"2026-11-21T10:00:00Z"`
	SeenAt    time.Time `json:"seen_at" doc:"When it was last used, to the minute." example:"2026-11-21T10:20:00Z"`
	ExpiresAt time.Time `json:"expires_at" doc:"When it ends if it is not used again." example:"2026-11-21T10:50:00Z"`
	Current   bool      `json:"current" doc:"It is the one of this request."`
}

// SessionList are all sessions of a person.
type SessionList struct {
	Items []Session `json:"items" doc:"The sessions."`
	Next  *string   `json:"next" doc:"Always null: there is one page."`
}

type sessionListOutput struct{ Body SessionList }

func (s *server) listSessions(ctx context.Context, a keys.Actor, in *userInput) (*sessionListOutput, error) {
	list, err := s.Registry.Sessions(ctx, a, keys.UserID(in.ID))
	if err != nil {
		return nil, err
	}
	current := callOf(ctx).opened
	out := &sessionListOutput{Body: SessionList{Items: make([]Session, len(list))}}
	for i, x := range list {
		out.Body.Items[i] = Session{
			ID: string(x.ID), Address: x.Address, CreatedAt: x.CreatedAt.UTC(), SeenAt: x.SeenAt.UTC(), ExpiresAt: x.EndsAt().UTC(),
			Current: current != nil && current.ID == x.ID,
		}
	}
	return out, nil
}

func (s *server) endSessions(ctx context.Context, a keys.Actor, in *userInput) (*nothing, error) {
	if _, err := s.Registry.EndSessions(ctx, a, keys.UserID(in.ID), ""); err != nil {
		return nil, err
	}
	return &nothing{}, nil
}

type endSessionInput struct {
	ID      string `path:"id" pattern:"^usr_[0-9A-Za-z]{12}$" patternDescription:"the id of a user" doc:"The person's id." example:"usr_8Kd2mXk0aVbR"`
	Session string `path:"session" pattern:"^ses_[0-9A-Za-z]{12}$" patternDescription:"the id of a session" doc:"The session's id." example:"ses_3fT9qLw2ZcYh"`
}

func (s *server) endSession(ctx context.Context, a keys.Actor, in *endSessionInput) (*nothing, error) {
	if _, err := s.Registry.EndSessions(ctx, a, keys.UserID(in.ID), keys.SessionID(in.Session)); err != nil {
		return nil, err
	}
	return &nothing{}, nil
}
