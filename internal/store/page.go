package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/uptrace/bun"

	"postern/internal/keys"
)

// maxPage is the largest page, and the page of a filter that names no size.
const maxPage = 1000

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

// scanPage reads a page of a list that is ordered by creation time and id, oldest first, and returns
// where the next one begins. key tells a row's creation time and id.
func scanPage[T any](ctx context.Context, r *reader, q *bun.SelectQuery, doing, order, from string, limit int, rows *[]T, key func(*T) (int64, string)) (string, error) {
	var after *position
	if from != "" {
		p, err := parseCursor(from, order, false)
		if err != nil {
			return "", fmt.Errorf("%s: %w", doing, err)
		}
		after = &p
	}
	size := pageSize(limit)
	page(q, "created_at", false, after, size)
	if err := q.Scan(ctx); err != nil {
		return "", r.fail(ctx, doing, err)
	}
	if len(*rows) <= size {
		return "", nil
	}
	*rows = (*rows)[:size]
	at, id := key(&(*rows)[size-1])
	next, err := position{Sort: order, Number: &at, ID: id}.cursor()
	if err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	return next, nil
}
