package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"postern/internal/keys"
)

// maxPage is the largest page, and the page of a filter that names no size.
const maxPage = 1000

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

// position is where a page ended: what a cursor holds. Exactly one of Number and Text is the value
// that the list is sorted by; the id settles ties.
type position struct {
	Sort   string  `json:"s"`
	Number *int64  `json:"n,omitempty"`
	Text   *string `json:"t,omitempty"`
	ID     string  `json:"i"`
}

// cursor is the opaque form of a position.
func (p position) cursor() (string, error) {
	b, err := json.Marshal(p)
	return base64.RawURLEncoding.EncodeToString(b), err
}

// parseCursor reads a cursor of a list with this order; ErrBadCursor for anything that such a
// list did not hand out.
func parseCursor(cursor, sort string, text bool) (position, error) {
	var p position
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || json.Unmarshal(b, &p) != nil {
		return p, fmt.Errorf("%w: it is not one of this list's", keys.ErrBadCursor)
	}
	if p.Sort != sort || p.ID == "" || (p.Text != nil) != text || (p.Number != nil) == text {
		return p, fmt.Errorf("%w: it belongs to another list or order", keys.ErrBadCursor)
	}
	return p, nil
}

// page orders q by column and id, begins after the cursor's position, and asks for one row more
// than a page has, which tells whether there is a next one.
func page(q *bun.SelectQuery, column string, descending bool, after *position, size int) {
	direction, beyond := "ASC", ">"
	if descending {
		direction, beyond = "DESC", "<"
	}
	if after != nil {
		var value any
		if after.Text != nil {
			value = *after.Text
		} else {
			value = *after.Number
		}
		q.Where("(?, id) "+beyond+" (?, ?)", bun.Ident(column), value, after.ID)
	}
	q.OrderExpr("? "+direction+", id "+direction, bun.Ident(column)).Limit(int64(size) + 1)
}

// pageSize is a filter's limit within 1 to maxPage.
func pageSize(limit int) int {
	if limit < 1 || limit > maxPage {
		return maxPage
	}
	return limit
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
	if len(f.Search) > maxSearch {
		return keys.CredentialPage{}, nil
	}

	var rows []listedCredential
	q := r.db.NewSelect().Model(&rows).Column(credentialColumns...).
		Column("created_at", "updated_at", "expires_at", "name_key").Where("deleted = 0")
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
			q.Where("? = ?", bun.Ident(equal.column), equal.value)
		}
	}
	switch now := micros(r.at(f.Now)); f.Status {
	case "":
	case keys.Expired:
		q.Where("status IN ('active', 'suspended')").Where("expires_at <= ?", now)
	case keys.Active, keys.Suspended:
		q.Where("status = ?", string(f.Status)).Where("expires_at > ?", now)
	default:
		q.Where("status = ?", string(f.Status))
	}
	if f.API != "" {
		q.Where(`apis LIKE ? ESCAPE '\'`, "% "+escapeLike(string(f.API))+" %")
	}
	if f.Search != "" {
		part := "%" + escapeLike(fold(f.Search)) + "%"
		q.Where(`(name_key LIKE ? ESCAPE '\' OR lower(id) LIKE ? ESCAPE '\' OR owner_key LIKE ? ESCAPE '\')`, part, part, part)
	}
	if !f.ExpiresBefore.IsZero() {
		q.Where("expires_at < ?", micros(f.ExpiresBefore))
	}
	switch f.Managed {
	case keys.ManagedByFile:
		q.Where("managed = 1")
	case keys.ManagedByAPI:
		q.Where("managed = 0")
	}
}

// fold makes texts that differ in case alone equal, in every script and not only in ASCII as the
// database's own lower does. By way of the upper case, because some letters have two lower ones (σ, ς).
// It is what both the searched columns and the search text go through.
func fold(s string) string {
	if ascii(s) {
		return strings.ToLower(s)
	}
	s = strings.ToLower(strings.ToUpper(strings.ToValidUTF8(s, "\uFFFD")))
	return strings.ReplaceAll(s, "\x00", "\uFFFD") // text ends at a NUL for LIKE
}

// ascii tells whether s is ASCII without NUL, which needs none of the care.
func ascii(s string) bool {
	for i := range len(s) {
		if s[i] == 0 || s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// escapeLike takes the meaning from the wildcards of LIKE … ESCAPE '\'.
func escapeLike(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}
