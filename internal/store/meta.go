package store

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"
)

type metaRow struct {
	bun.BaseModel `bun:"table:meta"`

	Name  string `bun:",pk"`
	Value []byte
}

// Meta implements keys.Reader.
func (r *reader) Meta(ctx context.Context, name string) ([]byte, error) {
	var row metaRow
	if err := r.db.NewSelect().Model(&row).Where("name = ?", name).Scan(ctx); err != nil {
		return nil, r.fail(ctx, fmt.Sprintf("read %q", name), err)
	}
	return row.Value, nil
}

// PutMeta implements keys.Tx. It writes over a value that is there.
func (t *transaction) PutMeta(ctx context.Context, name string, value []byte) error {
	if value == nil {
		value = []byte{}
	}
	_, err := t.exec(ctx, "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value", name, value)
	return t.fail(ctx, fmt.Sprintf("write %q", name), err)
}
