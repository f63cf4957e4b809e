package admin

import (
	"time"

	"postern/internal/keys"
)

// Token is an admin token as the API shows it: an automation's way in here.
type Token struct {
	ID        string     `json:"id" doc:"tok_ and 12 characters." example:"tok_5Hs8KdPq1wEx"`
	Name      string     `json:"name" doc:"For people." example:"terraform"`
	Tenant    *string    `json:"tenant" doc:"The organisation it works in; null for the provider's own, which work in all." example:"default"`
	Roles     []string   `json:"roles" doc:"What it may do." example:"developer"`
	ActsAs    *string    `json:"acts_as" doc:"The person it acts as, with at most his permissions; null for one that owns nothing." example:"usr_8Kd2mXk0aVbR"`
	Preview   string     `json:"preview" doc:"Its first characters."`
	CreatedBy string     `json:"created_by" doc:"Who made it."`
	CreatedAt time.Time  `json:"created_at" doc:"When it was made." example:"2026-11-21T10:00:00Z"`
	ExpiresAt *time.Time `json:"expires_at" doc:"When it ends; null for never." example:"2027-11-21T10:00:00Z"`
	RevokedAt *time.Time `json:"revoked_at" doc:"When it was revoked; null while it was not."`
}

func makeToken(t keys.Token) Token {
	out := Token{
		ID:        string(t.ID),
		Name:      t.Name,
		Roles:     texts(t.Roles),
		Preview:   t.Preview,
		CreatedBy: t.CreatedBy,
		CreatedAt: t.CreatedAt.UTC(),
		ExpiresAt: instant(t.ExpiresAt),
		RevokedAt: instant(t.RevokedAt),
	}
	if t.Tenant != "" {
		tenant := string(t.Tenant)
		out.Tenant = &tenant
	}
	if t.ActsAs != "" {
		person := string(t.ActsAs)
		out.ActsAs = &person
	}
	return out
}
