//go:build nextrelease

package store

import (
	"fmt"
	"io/fs"
	"testing/fstest"
)

// ofRelease is the schema of the release after this one, as an upgrade meets it: one migration more, which
// only adds. Tests build the program with this tag to upgrade to it and to step back.
func ofRelease(own fs.FS) (fs.FS, error) {
	names, err := fs.Glob(own, "*.sql")
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	next := fstest.MapFS{}
	for _, name := range names {
		text, err := fs.ReadFile(own, name)
		if err != nil {
			return nil, fmt.Errorf("read migrations: %w", err)
		}
		next[name] = &fstest.MapFile{Data: text}
	}
	next[fmt.Sprintf("%04d_next_release.sql", len(names)+1)] = &fstest.MapFile{Data: []byte(nextMigration)}
	return next, nil
}

// nextMigration is understood by every dialect.
const nextMigration = `-- +goose Up
CREATE TABLE next_release (id INTEGER NOT NULL PRIMARY KEY);
ALTER TABLE credentials ADD COLUMN next_release INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tenants ADD COLUMN next_release INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audit ADD COLUMN next_release INTEGER NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN next_release INTEGER NOT NULL DEFAULT 0;
`
