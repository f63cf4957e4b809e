package keys

import (
	"context"
	"time"
)

// PeopleReader is the part of Reader about tenants and people.
type PeopleReader interface {
	// Tenants lists by creation time and id, oldest first.
	Tenants(ctx context.Context, f TenantFilter) (TenantPage, error)
	// User, UserByEmail (in lower case) return a person, or ErrNotFound.
	User(ctx context.Context, id UserID) (User, error)
	UserByEmail(ctx context.Context, email string) (User, error)
	// Users lists by creation time and id, oldest first.
	Users(ctx context.Context, f UserFilter) (UserPage, error)
	// SessionByDigest returns a session, or ErrNotFound. Whether it still counts is the caller's to
	// tell.
	SessionByDigest(ctx context.Context, d Digest) (Session, error)
	// Sessions returns a person's sessions, newest first, at most 1000.
	Sessions(ctx context.Context, u UserID) ([]Session, error)
	// LinkByDigest returns a one-time code's record, or ErrNotFound.
	LinkByDigest(ctx context.Context, d Digest) (Link, error)
	// AllSessions and AllLinks return everybody's, over or not.
	AllSessions(ctx context.Context) ([]Session, error)
	AllLinks(ctx context.Context) ([]Link, error)
}

// PeopleTx is the part of Tx about people. None of it is a change that the Directory needs.
type PeopleTx interface {
	// PutUser inserts (Version 1) or replaces (stored version + 1, else ErrConflict) a person;
	// ErrDuplicate when the id, on insertion, or the e-mail is another one's.
	PutUser(ctx context.Context, u User) error
	// DeleteUser removes a person of this version, with his sessions and codes; else ErrConflict.
	DeleteUser(ctx context.Context, id UserID, version int64) error
	// PutSession inserts a session, or replaces the one with its digest; ErrDuplicate when the id is
	// another one's.
	PutSession(ctx context.Context, s Session) error
	// DeleteSession removes a session; none is no error.
	DeleteSession(ctx context.Context, d Digest) error
	// DeleteSessions removes a person's sessions and returns how many there were.
	DeleteSessions(ctx context.Context, u UserID) (int, error)
	// PutLink makes this the person's only code.
	PutLink(ctx context.Context, l Link) error
	// DeleteLinks removes a person's codes.
	DeleteLinks(ctx context.Context, u UserID) error
	// Forget removes sessions created before opened or last seen before seen, and codes that expired
	// before now.
	Forget(ctx context.Context, opened, seen, now time.Time) error
}

// TenantFilter selects a page of tenants.
type TenantFilter struct {
	Search string // case-insensitive part of name or id
	Cursor string
	Limit  int // 1 to 1000
}

// TenantPage is one page; Next is "" on the last.
type TenantPage struct {
	Items []Tenant
	Next  string
}

// UserFilter selects a page of people. Zero fields select everything.
type UserFilter struct {
	Everywhere bool     // all tenants and the provider
	Tenant     TenantID // else this one; "" for the provider
	Role       RoleName
	Search     string // case-insensitive part of name, e-mail or id
	Cursor     string
	Limit      int // 1 to 1000
}

// UserPage is one page; Next is "" on the last.
type UserPage struct {
	Items []User
	Next  string
}
