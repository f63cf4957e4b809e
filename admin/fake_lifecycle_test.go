package admin

import (
	"context"
	"slices"

	"postern/internal/keys"
)

// change finds a credential, checks its version and stores what fn makes of it.
func (f *fakeRegistry) change(a keys.Actor, id keys.CredentialID, ifVersion []int64, fn func(*keys.Credential) error) (keys.Credential, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(a); err != nil {
		return keys.Credential{}, err
	}
	c, err := f.find(a, id)
	if err != nil {
		return keys.Credential{}, err
	}
	if len(ifVersion) > 0 && !slices.Contains(ifVersion, c.Version) {
		return keys.Credential{}, &keys.Refusal{Code: keys.VersionConflict, Detail: "It has another version."}
	}
	if c.ManagedBy != "" {
		return keys.Credential{}, &keys.Refusal{Code: keys.ManagedElsewhere, Detail: "It is declared.", Where: c.ManagedBy}
	}
	if err := fn(&c); err != nil {
		return keys.Credential{}, err
	}
	c.UpdatedAt, c.Version = f.now, c.Version+1
	f.creds[id] = c
	return c, nil
}

// turn moves a credential from one state to another.
func (f *fakeRegistry) turn(a keys.Actor, id keys.CredentialID, reason string, ifVersion []int64, from, to keys.Status) (keys.Credential, error) {
	return f.change(a, id, ifVersion, func(c *keys.Credential) error {
		if c.Status != from {
			return &keys.Refusal{Code: keys.InvalidState, Detail: "The key is " + string(c.Status) + ".", State: c.Status, Version: c.Version}
		}
		f.reason, c.Status = reason, to
		return nil
	})
}

func (f *fakeRegistry) Revoke(_ context.Context, a keys.Actor, id keys.CredentialID, reason string, ifVersion ...int64) (keys.Credential, error) {
	return f.turn(a, id, reason, ifVersion, keys.Active, keys.Revoked)
}

func (f *fakeRegistry) Suspend(_ context.Context, a keys.Actor, id keys.CredentialID, reason string, ifVersion ...int64) (keys.Credential, error) {
	return f.turn(a, id, reason, ifVersion, keys.Active, keys.Suspended)
}

func (f *fakeRegistry) Resume(_ context.Context, a keys.Actor, id keys.CredentialID, reason string, ifVersion ...int64) (keys.Credential, error) {
	return f.turn(a, id, reason, ifVersion, keys.Suspended, keys.Active)
}

func (f *fakeRegistry) Edit(_ context.Context, a keys.Actor, id keys.CredentialID, in keys.CredentialEdit, ifVersion ...int64) (keys.Credential, error) {
	return f.change(a, id, ifVersion, func(c *keys.Credential) error {
		if len(in.Wrong) > 0 {
			return &keys.Refusal{Code: keys.ValidationFailed, Detail: "Fields are wrong.", Fields: in.Wrong}
		}
		f.edit = in
		if in.Name.Set {
			c.Name = in.Name.Value
		}
		return nil
	})
}

func (f *fakeRegistry) Delete(_ context.Context, a keys.Actor, id keys.CredentialID, ifVersion ...int64) error {
	_, err := f.change(a, id, ifVersion, func(*keys.Credential) error { return nil })
	if err == nil {
		delete(f.creds, id)
	}
	return err
}

func (f *fakeRegistry) Rotate(_ context.Context, a keys.Actor, id keys.CredentialID, in keys.Rotation, ifVersion ...int64) (keys.Generated, error) {
	c, err := f.change(a, id, ifVersion, func(c *keys.Credential) error {
		if len(in.Wrong) > 0 {
			return &keys.Refusal{Code: keys.ValidationFailed, Detail: "Fields are wrong.", Fields: in.Wrong}
		}
		f.rotation, f.once = in, in.Idempotency
		return nil
	})
	if err != nil {
		return keys.Generated{}, err
	}
	return f.made(c, "the new secret"), nil
}

// made answers a creation, as a replay where the test wants one.
func (f *fakeRegistry) made(c keys.Credential, secret string) keys.Generated {
	if f.replay {
		return keys.Generated{Credential: c, Replayed: true}
	}
	return keys.Generated{Credential: c, Secret: keys.NewSecret(secret)}
}

func (f *fakeRegistry) Reveal(_ context.Context, a keys.Actor, id keys.CredentialID, which keys.SecretID) (keys.Revealed, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(a); err != nil {
		return keys.Revealed{}, err
	}
	c, err := f.find(a, id)
	if err != nil {
		return keys.Revealed{}, err
	}
	f.which = which
	return keys.Revealed{Credential: c, ID: c.Secrets[0].ID, Secret: keys.NewSecret("the kept secret")}, nil
}

func (f *fakeRegistry) RevokeMany(_ context.Context, a keys.Actor, in keys.ManyRevocations) (keys.ManyRevoked, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(a); err != nil {
		return keys.ManyRevoked{}, err
	}
	f.many = in
	var done keys.ManyRevoked
	for _, id := range in.IDs {
		one := keys.RevokeOutcome{ID: id, Status: keys.Revoked}
		if _, err := f.find(a, id); err != nil {
			one = keys.RevokeOutcome{ID: id, No: err.(*keys.Refusal)}
		}
		done.Outcomes = append(done.Outcomes, one)
	}
	return done, nil
}
