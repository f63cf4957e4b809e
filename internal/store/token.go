package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/uptrace/bun"

	"postern/internal/keys"
)

type tokenRow struct {
	bun.BaseModel `bun:"table:tokens"`

	ID        string `bun:",pk"`
	Digest    []byte
	Pepper    int64
	Name      string
	Tenant    string
	Roles     string
	ActsAs    string
	Preview   string
	CreatedBy string
	CreatedAt int64
	ExpiresAt int64
	RevokedAt int64
	Version   int64
	MAC       []byte `bun:"mac"`
}

var tokenColumns = []string{
	"id", "digest", "pepper", "name", "tenant", "roles", "acts_as", "preview", "created_by", "created_at", "expires_at", "revoked_at",
	"version", "mac",
}

func (row *tokenRow) token() (keys.Token, error) {
	t := keys.Token{
		ID: keys.TokenID(row.ID), Name: row.Name, Tenant: keys.TenantID(row.Tenant), Pepper: uint32(row.Pepper),
		ActsAs:  keys.UserID(row.ActsAs),
		Preview: row.Preview, CreatedBy: row.CreatedBy, CreatedAt: instant(row.CreatedAt),
		ExpiresAt: instant(row.ExpiresAt), RevokedAt: instant(row.RevokedAt), Version: row.Version,
	}
	if err := json.Unmarshal([]byte(row.Roles), &t.Roles); err != nil {
		return keys.Token{}, fmt.Errorf("token %q: %w: roles: %w", row.ID, errDamaged, err)
	}
	if len(t.Roles) == 0 {
		t.Roles = nil
	}
	if len(row.Digest) != len(t.Digest) || len(row.MAC) != len(t.MAC) {
		return keys.Token{}, fmt.Errorf("token %q: %w", row.ID, errDamaged)
	}
	t.Digest, t.MAC = keys.Digest(row.Digest), keys.RowMAC(row.MAC)
	return t, nil
}

// TokenByDigest implements keys.Reader.
func (r *reader) TokenByDigest(ctx context.Context, d keys.Digest) (keys.Token, error) {
	return r.oneToken(ctx, "read token by digest", "digest = ?", d[:])
}

// Token implements keys.Reader.
func (r *reader) Token(ctx context.Context, id keys.TokenID) (keys.Token, error) {
	doing := fmt.Sprintf("read token %q", id)
	if odd(string(id)) {
		return keys.Token{}, fmt.Errorf("%s: %w", doing, keys.ErrNotFound)
	}
	return r.oneToken(ctx, doing, "id = ?", string(id))
}

func (r *reader) oneToken(ctx context.Context, doing, where string, value any) (keys.Token, error) {
	var row tokenRow
	if err := r.db.NewSelect().Model(&row).Column(tokenColumns...).Where(where, value).Scan(ctx); err != nil {
		return keys.Token{}, r.fail(ctx, doing, err)
	}
	t, err := row.token()
	return t, r.fail(ctx, doing, err)
}

// Tokens implements keys.Reader.
func (r *reader) Tokens(ctx context.Context, f keys.TokenFilter) (keys.TokenPage, error) {
	const doing, order = "list tokens", "tokens"
	if odd(string(f.Tenant)) {
		return keys.TokenPage{}, nil // nothing is like that
	}
	var rows []tokenRow
	q := r.db.NewSelect().Model(&rows).Column(tokenColumns...)
	if f.Tenant != "" {
		q.Where("tenant = ?", string(f.Tenant))
	}
	var after *position
	if f.Cursor != "" {
		p, err := parseCursor(f.Cursor, order, false)
		if err != nil {
			return keys.TokenPage{}, fmt.Errorf("%s: %w", doing, err)
		}
		after = &p
	}
	size := pageSize(f.Limit)
	page(q, "created_at", true, after, size)
	if err := q.Scan(ctx); err != nil {
		return keys.TokenPage{}, r.fail(ctx, doing, err)
	}
	var out keys.TokenPage
	if len(rows) > size {
		rows = rows[:size]
		last := &rows[size-1]
		next, err := position{Sort: order, Number: &last.CreatedAt, ID: last.ID}.cursor()
		if err != nil {
			return keys.TokenPage{}, fmt.Errorf("%s: %w", doing, err)
		}
		out.Next = next
	}
	for i := range rows {
		t, err := rows[i].token()
		if err != nil { // one bad row must not hide the others; without a MAC it is nobody's token
			r.log.ErrorContext(ctx, "a stored token cannot be read; it lets nobody in", "error", err)
			t = keys.Token{ID: keys.TokenID(rows[i].ID), Tenant: keys.TenantID(rows[i].Tenant), Version: rows[i].Version}
		}
		out.Items = append(out.Items, t)
	}
	return out, nil
}

// PutToken implements keys.Tx. Versions count as a credential's do; ErrDuplicate when the digest
// is another token's.
func (t *transaction) PutToken(ctx context.Context, token keys.Token) error {
	doing := fmt.Sprintf("write token %q", token.ID)
	roles, err := json.Marshal(token.Roles)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	taken, err := t.db.NewSelect().Table("tokens").Where("digest = ?", token.Digest[:]).Where("id <> ?", string(token.ID)).Exists(ctx)
	if err != nil {
		return t.fail(ctx, doing, err)
	}
	if taken {
		return fmt.Errorf("%s: %w", doing, keys.ErrDuplicate)
	}
	row := tokenRow{
		ID: string(token.ID), Digest: token.Digest[:], Pepper: int64(token.Pepper), Name: token.Name, Tenant: string(token.Tenant),
		Roles: string(roles), ActsAs: string(token.ActsAs), Preview: token.Preview, CreatedBy: token.CreatedBy, CreatedAt: micros(token.CreatedAt),
		ExpiresAt: micros(token.ExpiresAt), RevokedAt: micros(token.RevokedAt), Version: token.Version, MAC: token.MAC[:],
	}
	if odd(row.ID, row.Name, row.Tenant, row.ActsAs, row.Preview, row.CreatedBy) {
		return fmt.Errorf("%s: a text holds a NUL or is no UTF-8", doing)
	}
	return t.put(ctx, doing, &row, row.Version)
}
