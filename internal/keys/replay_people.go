package keys

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// ReplayedPeople is what Replay found about people.
type ReplayedPeople struct {
	Deleted  []UserID // again
	Disabled []UserID // again
	NoKeys   []UserID // their access to keys was removed again
	Lowered  []UserID // have again only those roles of the backup that they had at last

	Lost      []UserID // made after the backup, and not in it
	Passwords []UserID // have the password of the backup again
	Edited    []UserID // changed otherwise; they are as in the backup
}

// personDenials is what was done to a person at last; the zero entry stands for nothing, or for what was
// taken back.
type personDenials struct{ deleted, disabled, noKeys, roles AuditEntry }

// person takes in an entry about a person, and tells whether it is one.
func (p *replay) person(e AuditEntry) bool {
	if !strings.HasPrefix(e.Action, "user.") {
		return false
	}
	id := UserID(e.Target)
	d := p.people[id]
	if d == nil {
		d = &personDenials{}
		p.people[id] = d
	}
	switch e.Action {
	case "user.created":
		p.People.Lost = append(p.People.Lost, id)
	case "user.deleted":
		d.deleted = e
	case "user.key_access_removed":
		d.noKeys = e
	case "user.key_access_granted":
		d.noKeys = AuditEntry{}
	case "user.roles_assigned":
		d.roles = e
	case "user.password_set":
		p.People.Passwords = append(p.People.Passwords, id)
	case "user.invited":
		// The code is lost, as those of the backup are.
	default:
		switch e.Detail["disabled"] {
		case "true":
			d.disabled = e
		case "false":
			d.disabled = AuditEntry{}
		}
		if e.Detail["password"] != "" {
			p.People.Passwords = append(p.People.Passwords, id)
		}
		p.People.Edited = append(p.People.Edited, id)
	}
	return true
}

// sort puts the lists in order. Of who is gone it is enough to say that.
func (p *ReplayedPeople) sort() {
	for _, ids := range []*[]UserID{&p.Deleted, &p.Disabled, &p.NoKeys, &p.Lowered, &p.Lost, &p.Passwords, &p.Edited} {
		slices.Sort(*ids)
		*ids = slices.Compact(*ids)
	}
	for _, ids := range []*[]UserID{&p.Passwords, &p.Edited} {
		*ids = slices.DeleteFunc(*ids, func(id UserID) bool { return slices.Contains(p.Deleted, id) || slices.Contains(p.Lost, id) })
	}
	p.Edited = slices.DeleteFunc(p.Edited, func(id UserID) bool { return slices.Contains(p.Disabled, id) || slices.Contains(p.Passwords, id) })
}

// replayPeople takes away again what people lost. Their keys have entries of their own.
func (r *Registry) replayPeople(ctx context.Context, tx Tx, a Actor, p *replay) error {
	for _, id := range sortedKeys(p.people) {
		u, err := tx.User(ctx, id)
		if errors.Is(err, ErrNotFound) {
			continue // made after the backup, or deleted in it already
		}
		if err != nil {
			return err
		}
		if !r.vault.UserIntact(&u) {
			p.Altered = append(p.Altered, string(id))
			continue
		}
		if err := r.replayPerson(ctx, tx, a, u, p.people[id], p); err != nil {
			return err
		}
	}
	return nil
}

func (r *Registry) replayPerson(ctx context.Context, tx Tx, a Actor, u User, d *personDenials, p *replay) error {
	if d.deleted.Action != "" {
		p.People.Deleted = append(p.People.Deleted, u.ID)
		if err := tx.DeleteUser(ctx, u.ID, u.Version); err != nil {
			return err
		}
		return r.record(ctx, tx, a, u.chain(), "user.deleted", string(u.ID), replayDetails(u.called(), d.deleted))
	}
	var done []AuditEntry
	if d.disabled.Action != "" {
		p.People.Disabled = append(p.People.Disabled, u.ID)
		if !u.Disabled {
			u.Disabled, done = true, append(done, d.disabled)
		}
	}
	if d.noKeys.Action != "" {
		p.People.NoKeys = append(p.People.NoKeys, u.ID)
		if !u.NoKeys {
			u.NoKeys, done = true, append(done, d.noKeys)
		}
	}
	if d.roles.Action != "" {
		last := strings.Split(d.roles.Detail["after"], ", ")
		kept := slices.DeleteFunc(slices.Clone(u.Roles), func(role RoleName) bool { return !slices.Contains(last, string(role)) })
		p.People.Lowered = append(p.People.Lowered, u.ID)
		if len(kept) < len(u.Roles) {
			u.Roles, done = kept, append(done, d.roles)
		}
	}
	if len(done) == 0 {
		return nil
	}
	if err := r.replaceUser(ctx, tx, &u); err != nil {
		return err
	}
	for _, e := range done {
		detail := replayDetails(u.called(), e)
		switch e.Action {
		case "user.edited":
			detail["disabled"] = "true"
		case "user.roles_assigned":
			detail["after"] = join(u.Roles)
		}
		if err := r.record(ctx, tx, a, u.chain(), e.Action, string(u.ID), detail); err != nil {
			return err
		}
	}
	return nil
}
