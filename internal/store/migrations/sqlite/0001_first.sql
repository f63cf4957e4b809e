-- Times are microseconds since 1970 UTC; no time is the year 1, Go's zero time. Text compares byte by byte (SQLite's own BINARY collation):
-- another dialect has to say so for the columns that lists are ordered by.

-- +goose Up

-- "Pstn": tells our files from other programs' databases.
PRAGMA application_id = 1349743726;

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- One row, locked by each writer, that hands out the change numbers.
CREATE TABLE head (
    id  INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL
) STRICT;

INSERT INTO head (id, seq) VALUES (1, 0);

CREATE TABLE tenants (
    id         TEXT    NOT NULL PRIMARY KEY,
    change_seq INTEGER NOT NULL UNIQUE,
    name       TEXT    NOT NULL,
    plan       TEXT    NOT NULL,
    settings   TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version    INTEGER NOT NULL
) STRICT;

-- record and details are the credential. The columns after them are copies to search, filter and
-- sort by; nothing is decided by them. A row's key is the number of its last change, so that the
-- change feed and the load at start read the table in its own order. They read the first three
-- columns of every row.
CREATE TABLE credentials (
    change_seq INTEGER NOT NULL PRIMARY KEY,
    deleted    INTEGER NOT NULL,
    record     BLOB    NOT NULL,
    id         TEXT    NOT NULL UNIQUE,
    version    INTEGER NOT NULL,
    details    TEXT    NOT NULL,
    tenant     TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    owner_type TEXT    NOT NULL,
    owner_id   TEXT    NOT NULL,
    owner_key  TEXT    NOT NULL,
    name_key   TEXT    NOT NULL,
    apis       TEXT    NOT NULL,
    status     TEXT    NOT NULL,
    managed    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL -- the largest number for never
) STRICT;

CREATE INDEX credentials_created ON credentials (created_at) WHERE deleted = 0;
CREATE INDEX credentials_tenant ON credentials (tenant, created_at) WHERE deleted = 0;
CREATE INDEX credentials_owner ON credentials (tenant, owner_id) WHERE deleted = 0;

-- Every digest in use, so that none is given out twice. The secrets themselves are in the record.
CREATE TABLE secrets (
    digest BLOB NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    id         TEXT    NOT NULL PRIMARY KEY,
    digest     BLOB    NOT NULL UNIQUE,
    pepper     INTEGER NOT NULL,
    name       TEXT    NOT NULL,
    tenant     TEXT    NOT NULL,
    roles      TEXT    NOT NULL,
    preview    TEXT    NOT NULL,
    created_by TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    mac        BLOB    NOT NULL
) STRICT;

CREATE INDEX tokens_created ON tokens (created_at, id);

CREATE TABLE audit (
    chain      TEXT    NOT NULL,
    seq        INTEGER NOT NULL,
    time       INTEGER NOT NULL,
    actor_type TEXT    NOT NULL,
    actor_id   TEXT    NOT NULL,
    actor_name TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    target     TEXT    NOT NULL,
    detail     TEXT    NOT NULL,
    address    TEXT    NOT NULL,
    request    TEXT    NOT NULL,
    prev       BLOB    NOT NULL,
    mac        BLOB    NOT NULL,
    PRIMARY KEY (chain, seq)
) STRICT, WITHOUT ROWID;
