package keys

import "time"

// InvitationLifetime is how long a one-time code lives unless something else is asked for.
const InvitationLifetime = 72 * time.Hour

// longestInvitation bounds what may be asked for.
const longestInvitation = 30 * 24 * time.Hour

// Link is the stored record of a one-time code with which a person chooses his password. A person has
// one at most; using it, or making another, ends it.
type Link struct {
	Digest    Digest // of the code
	User      UserID
	CreatedBy string
	CreatedAt time.Time
	ExpiresAt time.Time
	MAC       RowMAC // over everything above
}
