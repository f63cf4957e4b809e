package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/uptrace/bun"

	"postern/internal/keys"
)

type tenantRow struct {
	bun.BaseModel `bun:"table:tenants"`

	ID        string `bun:",pk"`
	ChangeSeq keys.Seq
	Name      string
	Plan      string
	Settings  string
	CreatedAt int64
	UpdatedAt int64
	Version   int64
}

var tenantColumns = []string{"id", "change_seq", "name", "plan", "settings", "created_at", "updated_at", "version"}

func (row *tenantRow) tenant() (keys.Tenant, error) {
	t := keys.Tenant{
		ID: keys.TenantID(row.ID), Name: row.Name, Plan: row.Plan, Version: row.Version,
		CreatedAt: instant(row.CreatedAt), UpdatedAt: instant(row.UpdatedAt),
	}
	if err := json.Unmarshal([]byte(row.Settings), &t.Settings); err != nil {
		return keys.Tenant{}, fmt.Errorf("tenant %q: %w: settings: %w", row.ID, errDamaged, err)
	}
	return t, nil
}

// Tenant implements keys.Reader.
func (r *reader) Tenant(ctx context.Context, id keys.TenantID) (keys.Tenant, error) {
	doing := fmt.Sprintf("read tenant %q", id)
	if odd(string(id)) {
		return keys.Tenant{}, fmt.Errorf("%s: %w", doing, keys.ErrNotFound)
	}
	var row tenantRow
	err := r.db.NewSelect().Model(&row).Column(tenantColumns...).Where("id = ?", string(id)).Scan(ctx)
	if err != nil {
		return keys.Tenant{}, r.fail(ctx, doing, err)
	}
	t, err := row.tenant()
	return t, r.fail(ctx, doing, err)
}

// Tenants implements keys.PeopleReader.
func (r *reader) Tenants(ctx context.Context, f keys.TenantFilter) (keys.TenantPage, error) {
	const doing = "list tenants"
	if len(f.Search) > maxSearch || odd(f.Search) {
		return keys.TenantPage{}, nil // nothing is like that
	}
	var rows []tenantRow
	q := r.db.NewSelect().Model(&rows).Column(tenantColumns...)
	if f.Search != "" {
		part := "%" + escapeLike(fold(f.Search)) + "%"
		q.Where(`(lower(id) LIKE ? ESCAPE '\' OR lower(name) LIKE ? ESCAPE '\')`, part, part)
	}
	next, err := scanPage(ctx, r, q, doing, "tenants", f.Cursor, f.Limit, &rows, func(row *tenantRow) (int64, string) { return row.CreatedAt, row.ID })
	if err != nil {
		return keys.TenantPage{}, err
	}
	out := keys.TenantPage{Next: next}
	for i := range rows {
		t, err := rows[i].tenant()
		if err != nil {
			return keys.TenantPage{}, fmt.Errorf("%s: %w", doing, err)
		}
		out.Items = append(out.Items, t)
	}
	return out, nil
}

// PutTenant implements keys.Tx. Versions count as a credential's do.
func (t *transaction) PutTenant(ctx context.Context, tenant keys.Tenant) error {
	doing := fmt.Sprintf("write tenant %q", tenant.ID)
	settings, err := json.Marshal(tenant.Settings)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	row := tenantRow{
		ID: string(tenant.ID), ChangeSeq: t.next + 1, Name: tenant.Name, Plan: tenant.Plan, Settings: string(settings),
		CreatedAt: micros(tenant.CreatedAt), UpdatedAt: micros(tenant.UpdatedAt), Version: tenant.Version,
	}
	if odd(row.ID, row.Name, row.Plan) {
		return fmt.Errorf("%s: a text holds a NUL or is no UTF-8", doing)
	}
	if err := t.put(ctx, doing, &row, row.Version); err != nil {
		return err
	}
	t.number()
	return nil
}

// put inserts a row of version 1 and replaces one of the version before by any other.
func (t *transaction) put(ctx context.Context, doing string, row any, version int64) error {
	switch {
	case version < 1:
		return fmt.Errorf("%s: version %d: a new record has version 1", doing, version)
	case version == 1:
		res, err := t.db.NewInsert().Model(row).On("CONFLICT (id) DO NOTHING").Exec(ctx)
		return t.affected(ctx, doing, res, err, keys.ErrDuplicate)
	default:
		res, err := t.db.NewUpdate().Model(row).WherePK().Where("version = ?", version-1).Exec(ctx)
		return t.affected(ctx, doing, res, err, keys.ErrConflict)
	}
}
