package admin

import (
	"context"
	"strings"

	"postern/internal/keys"
)

const revokeKeyDoc = "Ends a key for good; no role can make it work again. Only active and suspended keys can be revoked. " +
	"When this answers, the node that answered refuses the key."

type revokeKeyInput struct {
	ID      string      `path:"id" pattern:"^(key|app)_[0-9A-Za-z]{12}$" patternDescription:"the id of a key" doc:"The key's id." example:"key_7Qd2mXk0aVbR"`
	IfMatch string      `header:"If-Match" doc:"Revoke only while the key still has this ETag." example:"\"1\""`
	Body    *Revocation `required:"false"`
}

// Revocation says why.
type Revocation struct {
	Reason string `json:"reason,omitempty" doc:"Kept in the audit trail." example:"leaked in a public repository"`
}

// revokeKey looks at If-Match before it revokes, not in the same transaction: a change in between
// slips through, which for an act that leaves nothing else of the key to change is harmless.
func (s *server) revokeKey(ctx context.Context, a keys.Actor, in *revokeKeyInput) (*keyOutput, error) {
	id := keys.CredentialID(in.ID)
	if in.IfMatch != "" && strings.TrimSpace(in.IfMatch) != "*" {
		c, err := s.Registry.Credential(ctx, a, id)
		if err != nil {
			return nil, err
		}
		if !matches(in.IfMatch, c.Version) {
			return nil, &problem{code: keys.VersionConflict, detail: "The key was changed since it was read."}
		}
	}
	reason := ""
	if in.Body != nil {
		reason = in.Body.Reason
	}
	c, err := s.Registry.Revoke(ctx, a, id, reason)
	if err != nil {
		return nil, err
	}
	return &keyOutput{ETag: etag(c.Version), Body: s.makeKey(c)}, nil
}

// matches tells whether a list of entity tags has the version's (RFC 9110, section 13.1.1: by
// strong comparison, so W/"1" never does).
func matches(ifMatch string, version int64) bool {
	for tag := range strings.SplitSeq(ifMatch, ",") {
		if strings.TrimSpace(tag) == etag(version) {
			return true
		}
	}
	return false
}
