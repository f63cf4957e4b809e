package keys

import (
	"context"
	"fmt"
	"time"
)

// confirmedFor is for how long a person who proved who he is may see secrets.
const confirmedFor = 5 * time.Minute

// Revealed is a stored secret of a credential with its text.
type Revealed struct {
	Credential Credential
	ID         SecretID
	Secret     Secret
}

// Reveal shows the text of a secret that is kept; which is "" for the newest one. Each time an audit
// entry tells of it, and is on the disk before the text is returned.
//
// A person sees the secrets of his own credentials (keys.reveal) and those of the tenant's
// (keys.reveal.tenant), and no permission lets him see another person's: self_only. He must have
// proved within five minutes that it is him: reauthentication_required. What is no person, such as a
// token, sees none: permission_denied. Further refusals: not_found, invalid_state (the text is not
// kept, or the credential is not in use), managed_elsewhere, and the store's.
func (r *Registry) Reveal(ctx context.Context, a Actor, id CredentialID, which SecretID) (Revealed, error) {
	if a.Type != ActorUser || a.User == "" {
		return Revealed{}, &Refusal{
			Code:   PermissionDenied,
			Detail: "Only a person who has signed in can see a secret again; tokens never do.",
			Hint:   r.help("Sign in, or rotate the key, which shows the new secret once."),
		}
	}
	var shown Revealed
	err := r.change(ctx, "reveal secret", func(ctx context.Context, tx Tx) error {
		do := act{own: KeysReveal, all: KeysRevealTenant}
		c, err := r.revealable(ctx, tx, a, id, do)
		if err != nil {
			return err
		}
		s, text, err := r.sealedText(&c, which)
		if err != nil {
			return err
		}
		shown = Revealed{Credential: r.shown(c), ID: s.ID, Secret: text}
		return r.record(ctx, tx, a, string(c.Tenant), "key.revealed", string(c.ID),
			details("name", c.Name, "secret", string(s.ID), "preview", s.Preview))
	})
	if err != nil {
		return Revealed{}, err
	}
	return shown, nil
}

// revealable returns the credential if the person may see its secrets now.
func (r *Registry) revealable(ctx context.Context, tx Tx, a Actor, id CredentialID, do act) (Credential, error) {
	read := act{own: KeysRead, all: KeysReadAny, declared: true}
	c, err := r.actable(ctx, tx, a, id, read)
	if err != nil {
		return Credential{}, err
	}
	personal := c.Owner.Type == OwnerUser
	switch age := r.now().Sub(a.Confirmed); {
	case personal && !a.owns(&c):
		return Credential{}, &Refusal{
			Code:   SelfOnly,
			Detail: fmt.Sprintf("The key %s belongs to %s, and nobody else can see its secret.", c.ID, quote(c.Owner.Name)),
			Hint:   "Its owner can see it after signing in.",
		}
	case personal && !a.Permissions.Has(do.own):
		return Credential{}, r.denied(do.own)
	case !personal && !a.Permissions.Has(do.all):
		return Credential{}, r.denied(do.all)
	case c.ManagedBy != "":
		return Credential{}, managedElsewhere(&c)
	case a.Confirmed.IsZero() || age < 0 || age > confirmedFor:
		return Credential{}, &Refusal{
			Code:   ReauthRequired,
			Detail: "Seeing a secret needs a sign-in that was confirmed within the last 5 minutes.",
			Hint:   "Confirm it is you (POST /v1/session/confirm), then ask again.",
		}
	}
	return c, inState(&c, r.instant(), "revealed", Pending, Active, Suspended)
}

// sealedText opens one of the live secrets of an authentic credential.
func (r *Registry) sealedText(c *Credential, which SecretID) (StoredSecret, Secret, error) {
	live := withoutEnded(c.Secrets, r.now())
	s := newestOf(live)
	if which != "" {
		s = StoredSecret{}
		for _, one := range live {
			if one.ID == which {
				s = one
			}
		}
	}
	switch {
	case s.ID == "":
		return s, Secret{}, absent("secret of "+string(c.ID)+" with the id", string(which))
	case !r.vault.SecretIntact(c.ID, &s):
		return s, Secret{}, altered(string(c.ID))
	case len(s.Sealed) == 0:
		return s, Secret{}, &Refusal{
			Code:   InvalidState,
			Detail: fmt.Sprintf("The secret of %s was shown once, when it was made; its text is not kept.", c.ID),
			Hint:   "Rotate the key to get a new one. What is kept is decided when a secret is made (policy.secret_visibility).",
		}
	}
	text, err := r.vault.Open(c.Tenant, c.ID, s.ID, s.Sealed)
	return s, text, err
}
