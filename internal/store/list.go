package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/uptrace/bun"

	"postern/internal/keys"
)

// maxSearch is the longest search text in bytes; a longer one is part of no name.
const maxSearch = 4096

// sortColumn finds the column behind an order's name.
func sortColumn(name string) (column string, ok bool) {
	switch name {
	case "created_at", "updated_at", "expires_at":
		return name, true
	case "name":
		return "name_key", true
	}
	return "", false
}

// listedCredential is a row of a list: the credential and the values that a cursor holds.
type listedCredential struct {
	bun.BaseModel `bun:"table:credentials"`
	credentialRow

	CreatedAt int64
	UpdatedAt int64
	ExpiresAt int64
	NameKey   string
}

// Credentials implements keys.Reader. An unknown Sort is an error.
func (r *reader) Credentials(ctx context.Context, f keys.CredentialFilter) (keys.CredentialPage, error) {
	const doing = "list credentials"
	sort, descending := strings.CutPrefix(f.Sort, "-")
	if sort == "" {
		sort = "created_at"
	}
	column, ok := sortColumn(sort)
	if !ok {
		return keys.CredentialPage{}, fmt.Errorf("%s: sort %q is not one of created_at, name, expires_at, updated_at", doing, f.Sort)
	}
	order := sort
	if descending {
		order = "-" + sort
	}
	var after *position
	if f.Cursor != "" {
		p, err := parseCursor(f.Cursor, order, sort == "name")
		if err != nil {
			return keys.CredentialPage{}, fmt.Errorf("%s: %w", doing, err)
		}
		after = &p
	}
	if len(f.Search) > maxSearch || odd(string(f.Tenant), string(f.OwnerType), f.OwnerID, string(f.OwnUser), string(f.Kind), string(f.Status), string(f.API)) {
		return keys.CredentialPage{}, nil // nothing is like that
	}

	var rows []listedCredential
	q := r.db.NewSelect().Model(&rows).Column(credentialColumns...).
		Column("created_at", "updated_at", "expires_at", "name_key").Where("deleted = 0")
	ids, few, err := r.narrow(ctx, f)
	switch {
	case err != nil:
		return keys.CredentialPage{}, r.fail(ctx, doing, err)
	case few && len(ids) == 0:
		return keys.CredentialPage{}, nil
	case few:
		q.Where("id IN (?)", bun.List(ids))
	case f.Tenant != "" && (sort == "created_at" || sort == "name"):
		q.Where("tenant = ?", string(f.Tenant)) // there is an index of both
		f.Tenant = ""                           // said twice, it would seem to PostgreSQL to select next to nothing
	}
	r.filter(q, f)
	size := pageSize(f.Limit)
	page(q, column, descending, after, size)
	if err := q.Scan(ctx); err != nil {
		return keys.CredentialPage{}, r.fail(ctx, doing, err)
	}

	var out keys.CredentialPage
	if len(rows) > size {
		rows = rows[:size]
		next, err := rows[size-1].position(order, sort).cursor()
		if err != nil {
			return keys.CredentialPage{}, fmt.Errorf("%s: %w", doing, err)
		}
		out.Next = next
	}
	for i := range rows {
		c, err := rows[i].credential()
		if err != nil {
			r.log.ErrorContext(ctx, "a stored credential cannot be read; it lets nobody in", "error", err)
			c = rows[i].husk()
		}
		out.Items = append(out.Items, c)
	}
	return out, nil
}

func (row *listedCredential) position(order, sort string) position {
	p := position{Sort: order, ID: string(row.ID)}
	switch sort {
	case "name":
		p.Text = &row.NameKey
	case "updated_at":
		p.Number = &row.UpdatedAt
	case "expires_at":
		p.Number = &row.ExpiresAt
	default:
		p.Number = &row.CreatedAt
	}
	return p
}

// filter narrows q to what f selects.
func (r *reader) filter(q *bun.SelectQuery, f keys.CredentialFilter) {
	for _, equal := range [...]struct{ column, value string }{
		{"tenant", string(f.Tenant)}, {"owner_type", string(f.OwnerType)}, {"owner_id", f.OwnerID}, {"kind", string(f.Kind)},
	} {
		if equal.value != "" {
			q.Where("? = ?", unindexed(equal.column), equal.value)
		}
	}
	if f.Own {
		q.Where("(owner_type = ? OR owner_type = ? AND owner_id = ?)", string(keys.OwnerTenant), string(keys.OwnerUser), string(f.OwnUser))
	}
	switch now := micros(r.at(f.Now)); f.Status {
	case "":
	case keys.Expired:
		q.Where("status IN ('active', 'suspended')").Where("expires_at + 0 <= ?", now)
	case keys.Active, keys.Suspended:
		q.Where("? = ?", unindexed("status"), string(f.Status)).Where("expires_at + 0 > ?", now)
	default:
		q.Where("? = ?", unindexed("status"), string(f.Status))
	}
	if f.API != "" {
		q.Where(`apis LIKE ? ESCAPE '\'`, "% "+escapeLike(string(f.API))+" %")
	}
	if f.Search != "" {
		part := "%" + escapeLike(fold(f.Search)) + "%"
		q.Where(`(name_key LIKE ? ESCAPE '\' OR lower(id) LIKE ? ESCAPE '\' OR owner_key LIKE ? ESCAPE '\')`, part, part, part)
	}
	if !f.ExpiresBefore.IsZero() {
		q.Where("expires_at + 0 < ?", micros(f.ExpiresBefore))
	}
	if !f.UnusedSince.IsZero() {
		since := micros(f.UnusedSince)
		q.Where("created_at <= ?", since).
			// Not as NOT EXISTS, of which PostgreSQL makes a join with all of last_used.
			Where("coalesce((SELECT max(u.used_at) FROM last_used AS u WHERE u.credential = id), ?) <= ?", since, since)
	}
	switch f.Managed {
	case keys.ManagedByFile:
		q.Where("managed = 1")
	case keys.ManagedByAPI:
		q.Where("managed = 0")
	}
}
