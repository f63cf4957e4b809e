package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"postern/internal/keys"
)

// maxFailures is how many wrong tokens of one network within a minute are answered 401; further
// ones are answered 429.
const maxFailures = 20

// signIn finds who asks: a person by the cookie of his session, or an admin token. Only a wrong token counts as a failure of its address; the Registry is
// asked first, so that a correct token is never held up by what others at the address did.
func (s *server) signIn(ctx context.Context, r *http.Request) (keys.Actor, error) {
	c := callOf(ctx)
	session, err := sessionText(r)
	if err != nil {
		return keys.Actor{}, err
	}
	if len(r.CookiesNamed(sessionCookie)) > 0 {
		if len(r.Header.Values("Authorization")) > 0 {
			return keys.Actor{}, &problem{code: badRequest, detail: "The request carries both a session cookie and an Authorization header.", hint: "Send one of them."}
		}
		actor, opened, err := s.Registry.SessionActor(ctx, session, c.caller())
		c.opened = &opened
		return actor, err
	}
	text, err := bearer(r.Header)
	if err != nil {
		return keys.Actor{}, err
	}
	actor, err := s.Registry.TokenActor(ctx, text)
	if err != nil {
		var refusal *keys.Refusal
		if errors.As(err, &refusal) && refusal.Code == keys.SignInRequired {
			if wait := s.failures.Record(c.address, s.Now()); wait > 0 {
				return keys.Actor{}, &problem{code: tooManyFailures,
					detail:     "Too many wrong tokens came from this address.",
					retryAfter: seconds(wait)}
			}
		}
		return keys.Actor{}, err
	}
	actor.Address = c.address
	actor.RequestID = c.id
	return actor, nil
}

// bearer reads the token from the Authorization header (RFC 6750, section 2.1).
func bearer(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return "", &problem{code: keys.SignInRequired, detail: "The request carries no admin token."}
	}
	if len(values) > 1 {
		return "", &problem{code: badRequest, detail: "The request carries more than one Authorization header."}
	}
	scheme, text, _ := strings.Cut(values[0], " ")
	text = strings.Trim(text, " ")
	if !strings.EqualFold(scheme, "Bearer") || text == "" {
		return "", &problem{code: keys.SignInRequired, detail: "The Authorization header holds no bearer token."}
	}
	return text, nil
}

// permit checks the row of the permission table. Whose key it is about, the Registry checks.
func permit(a keys.Actor, row access) error {
	anyOf := row.anyOf
	if row.signedIn || a.Permissions.HasAny(anyOf...) {
		return nil
	}
	if a.User != "" && slices.Contains(anyOf, keys.KeysGenerate) {
		return &problem{code: keys.RoleRequired, detail: "To generate keys takes a role with the permission keys.generate, such as developer.",
			hint: "An administrator can assign it."}
	}
	return &problem{code: keys.PermissionDenied, detail: "This needs the permission " + strings.Join(texts(anyOf), " or ") + "."}
}
