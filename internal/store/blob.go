package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"postern/internal/keys"
)

// Blobs are named values of other parts of the program. They are no part of the change feed, and
// whoever puts a secret in one seals it first. A name is a path: parts separated by single slashes,
// as in certificates/api.example.com/key.

type blobRow struct {
	bun.BaseModel `bun:"table:blobs"`

	Name      string `bun:",pk"`
	Value     []byte
	WrittenAt int64
}

// Blob returns the value of a name and when it was written; keys.ErrNotFound when there is none.
func (s *Store) Blob(ctx context.Context, name string) (value []byte, written time.Time, err error) {
	doing := fmt.Sprintf("read blob %q", name)
	if odd(name) {
		return nil, time.Time{}, fmt.Errorf("%s: %w", doing, keys.ErrNotFound)
	}
	var row blobRow
	if err := s.read.NewSelect().Model(&row).Where("name = ?", name).Scan(ctx); err != nil {
		return nil, time.Time{}, s.fail(ctx, doing, err)
	}
	return row.Value, instant(row.WrittenAt), nil
}

// PutBlob writes a value, over one that is there; it is on the disk when PutBlob returns.
func (s *Store) PutBlob(ctx context.Context, name string, value []byte) error {
	doing := fmt.Sprintf("write blob %q", name)
	if name == "" || odd(name) {
		return fmt.Errorf("%s: the name is empty, holds a NUL or is no UTF-8", doing)
	}
	if value == nil {
		value = []byte{}
	}
	row := blobRow{Name: name, Value: value, WrittenAt: micros(s.now())}
	_, err := s.write.NewInsert().Model(&row).
		On("CONFLICT (name) DO UPDATE").Set("value = EXCLUDED.value").Set("written_at = EXCLUDED.written_at").Exec(ctx)
	return s.fail(ctx, doing, err)
}

// DeleteBlobs deletes the blob of that name and those below it, whose names begin with it and a
// slash. It is no error when there are none.
func (s *Store) DeleteBlobs(ctx context.Context, name string) error {
	if odd(name) {
		return nil // there are none
	}
	first, end := below(name)
	_, err := s.write.NewDelete().Model((*blobRow)(nil)).
		Where("name = ?", name).WhereOr("name >= ? AND name < ?", first, end).Exec(ctx)
	return s.fail(ctx, fmt.Sprintf("delete blobs %q", name), err)
}

// BlobNames lists the names below a folder, all names with "", in the order of their bytes.
func (s *Store) BlobNames(ctx context.Context, folder string) ([]string, error) {
	if odd(folder) {
		return nil, nil
	}
	var names []string
	q := s.read.NewSelect().Model((*blobRow)(nil)).Column("name").Order("name")
	if folder != "" {
		first, end := below(folder)
		q.Where("name >= ? AND name < ?", first, end)
	}
	if err := q.Scan(ctx, &names); err != nil {
		return nil, s.fail(ctx, fmt.Sprintf("list blobs %q", folder), err)
	}
	return names, nil
}

// below is the range of the names that begin with the folder and a slash.
func below(folder string) (first, end string) {
	folder = strings.TrimSuffix(folder, "/")
	return folder + "/", folder + string(rune('/'+1))
}
