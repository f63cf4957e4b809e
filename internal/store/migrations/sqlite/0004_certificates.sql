-- +goose Up

-- What parts of the program keep under a name of their own: certificates, their keys and the accounts
-- at the CA, each sealed by who puts it here.
CREATE TABLE blobs (
    name       TEXT    NOT NULL PRIMARY KEY,
    value      BLOB    NOT NULL,
    written_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who may do what only one may do at a time, and until when.
CREATE TABLE leases (
    name       TEXT    NOT NULL PRIMARY KEY,
    holder     TEXT    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
