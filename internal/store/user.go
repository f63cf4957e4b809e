package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/uptrace/bun"

	"postern/internal/keys"
)

type userRow struct {
	bun.BaseModel `bun:"table:users"`

	ID         string `bun:",pk"`
	Tenant     string
	Email      string
	Name       string
	NameKey    string
	Roles      string
	RoleKey    string // the roles between spaces, to look for one
	Password   string
	Disabled   int
	NoKeys     int
	Held       string
	CreatedAt  int64
	UpdatedAt  int64
	PasswordAt int64
	Version    int64
	MAC        []byte `bun:"mac"`
}

var userColumns = []string{
	"id", "tenant", "email", "name", "roles", "password", "disabled", "no_keys", "held", "created_at", "updated_at", "password_at",
	"version", "mac",
}

func (row *userRow) user() (keys.User, error) {
	u := keys.User{
		ID: keys.UserID(row.ID), Tenant: keys.TenantID(row.Tenant), Email: row.Email, Name: row.Name, Password: row.Password,
		Disabled: row.Disabled != 0, NoKeys: row.NoKeys != 0, CreatedAt: instant(row.CreatedAt), UpdatedAt: instant(row.UpdatedAt),
		PasswordAt: instant(row.PasswordAt), Version: row.Version,
	}
	rolesErr, heldErr := json.Unmarshal([]byte(row.Roles), &u.Roles), json.Unmarshal([]byte(row.Held), &u.Held)
	if rolesErr != nil || heldErr != nil || len(row.MAC) != len(u.MAC) {
		return keys.User{}, fmt.Errorf("user %q: %w", row.ID, errDamaged)
	}
	if len(u.Roles) == 0 {
		u.Roles = nil
	}
	if len(u.Held) == 0 {
		u.Held = nil
	}
	u.MAC = keys.RowMAC(row.MAC)
	return u, nil
}

// husk stands for a row that cannot be read: without a MAC it is nobody.
func (row *userRow) husk() keys.User {
	return keys.User{ID: keys.UserID(row.ID), Tenant: keys.TenantID(row.Tenant), Version: row.Version}
}

// User implements keys.Reader.
func (r *reader) User(ctx context.Context, id keys.UserID) (keys.User, error) {
	return r.oneUser(ctx, fmt.Sprintf("read user %q", id), "id = ?", string(id))
}

// UserByEmail implements keys.Reader.
func (r *reader) UserByEmail(ctx context.Context, email string) (keys.User, error) {
	return r.oneUser(ctx, "find user by e-mail", "email = ?", email)
}

func (r *reader) oneUser(ctx context.Context, doing, where, value string) (keys.User, error) {
	if odd(value) {
		return keys.User{}, fmt.Errorf("%s: %w", doing, keys.ErrNotFound)
	}
	var row userRow
	if err := r.db.NewSelect().Model(&row).Column(userColumns...).Where(where, value).Scan(ctx); err != nil {
		return keys.User{}, r.fail(ctx, doing, err)
	}
	u, err := row.user()
	if err != nil {
		r.log.ErrorContext(ctx, "a stored user cannot be read; he can do nothing", "error", err)
		u = row.husk()
	}
	return u, nil
}

// Users implements keys.Reader.
func (r *reader) Users(ctx context.Context, f keys.UserFilter) (keys.UserPage, error) {
	const doing, order = "list users", "users"
	if odd(string(f.Tenant), string(f.Role)) || len(f.Search) > maxSearch {
		return keys.UserPage{}, nil // nobody is like that
	}
	var rows []userRow
	q := r.db.NewSelect().Model(&rows).Column(userColumns...)
	if !f.Everywhere {
		q.Where("tenant = ?", string(f.Tenant))
	}
	if f.Role != "" {
		q.Where(`role_key LIKE ? ESCAPE '\'`, "% "+escapeLike(string(f.Role))+" %")
	}
	if f.Search != "" {
		part := "%" + escapeLike(fold(f.Search)) + "%"
		q.Where(`(name_key LIKE ? ESCAPE '\' OR email LIKE ? ESCAPE '\' OR lower(id) LIKE ? ESCAPE '\')`, part, part, part)
	}
	next, err := scanPage(ctx, r, q, doing, order, f.Cursor, f.Limit, &rows, func(row *userRow) (int64, string) { return row.CreatedAt, row.ID })
	if err != nil {
		return keys.UserPage{}, err
	}
	out := keys.UserPage{Next: next}
	for i := range rows {
		u, err := rows[i].user()
		if err != nil { // one bad row must not hide the others
			r.log.ErrorContext(ctx, "a stored user cannot be read; he can do nothing", "error", err)
			u = rows[i].husk()
		}
		out.Items = append(out.Items, u)
	}
	return out, nil
}

// PutUser implements keys.PeopleTx.
func (t *transaction) PutUser(ctx context.Context, u keys.User) error {
	doing := fmt.Sprintf("write user %q", u.ID)
	roles, err := json.Marshal(notNil(u.Roles))
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	held, err := json.Marshal(notNil(u.Held))
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	row := userRow{
		ID: string(u.ID), Tenant: string(u.Tenant), Email: u.Email, Name: u.Name, NameKey: fold(u.Name), Roles: string(roles),
		RoleKey: spaced(u.Roles), Password: u.Password, Disabled: number(u.Disabled), NoKeys: number(u.NoKeys), Held: string(held),
		CreatedAt: micros(u.CreatedAt), UpdatedAt: micros(u.UpdatedAt), PasswordAt: micros(u.PasswordAt), Version: u.Version, MAC: u.MAC[:],
	}
	if odd(row.ID, row.Tenant, row.Email, row.Name, row.RoleKey, row.Password) {
		return fmt.Errorf("%s: a text holds a NUL or is no UTF-8", doing)
	}
	taken, err := t.db.NewSelect().Table("users").Where("email = ?", row.Email).Where("id <> ?", row.ID).Exists(ctx)
	if err != nil {
		return t.fail(ctx, doing, err)
	}
	if taken {
		return fmt.Errorf("%s: %w", doing, keys.ErrDuplicate)
	}
	return t.put(ctx, doing, &row, row.Version)
}

// DeleteUser implements keys.PeopleTx.
func (t *transaction) DeleteUser(ctx context.Context, id keys.UserID, version int64) error {
	doing := fmt.Sprintf("delete user %q", id)
	if odd(string(id)) {
		return fmt.Errorf("%s: %w", doing, keys.ErrConflict)
	}
	n, err := t.exec(ctx, "DELETE FROM users WHERE id = ? AND version = ?", string(id), version)
	if err != nil {
		return t.fail(ctx, doing, err)
	}
	if n == 0 {
		return fmt.Errorf("%s: %w", doing, keys.ErrConflict)
	}
	if _, err := t.DeleteSessions(ctx, id); err != nil {
		return err
	}
	return t.DeleteLinks(ctx, id)
}

// spaced writes names so that one can be looked for between spaces.
func spaced[T ~string](names []T) string {
	var b strings.Builder
	for _, name := range names {
		b.WriteString(" " + string(name))
	}
	return b.String() + " "
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
