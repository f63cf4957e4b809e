package keys

import "context"

// withUses fills in when credentials and their secrets were last used: as the store's checkpoints
// say, and what this gateway knows beyond them.
func (r *Registry) withUses(ctx context.Context, list []Credential) error {
	ids := make([]CredentialID, len(list))
	at := make(map[CredentialID]*Credential, len(list))
	for i := range list {
		ids[i] = list[i].ID
		at[ids[i]] = &list[i]
	}
	uses, err := r.store.LastUses(ctx, ids)
	if err != nil {
		return r.failure("read last uses", err)
	}
	if r.dir != nil {
		for _, id := range ids {
			uses = append(uses, r.dir.LastUses(id)...)
		}
	}
	for _, u := range uses {
		if c := at[u.Credential]; c != nil {
			c.used(u)
		}
	}
	return nil
}

// used takes a use into account.
func (c *Credential) used(u LastUse) {
	if u.At.After(c.LastUsedAt) {
		c.LastUsedAt = u.At
	}
	for i := range c.Secrets {
		if s := &c.Secrets[i]; s.ID == u.Secret && u.At.After(s.LastUsedAt) {
			s.LastUsedAt = u.At
		}
	}
}
