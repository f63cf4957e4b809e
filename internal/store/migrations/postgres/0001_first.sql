-- Times are microseconds since 1970 UTC; no time is the year 1, Go's zero time. Text compares byte by byte,
-- as in SQLite, whatever the database's own collation: lists and cursors are ordered the same everywhere, and
-- an upgrade of the operating system's locales breaks no index.

-- +goose Up

CREATE TABLE meta (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);

-- One row, locked by each writer, that hands out the change numbers. The name of its check tells our tables
-- from another program's.
CREATE TABLE head (
    id  BIGINT NOT NULL PRIMARY KEY CONSTRAINT postern_head CHECK (id = 1),
    seq BIGINT NOT NULL
);

INSERT INTO head (id, seq) VALUES (1, 0);

-- A mark of each of the latest transactions, for a writer that lost its connection in the middle of a commit
-- and asks whether it happened. The number of a transaction alone does not tell: after a crash another one
-- may have it.
CREATE TABLE commits (
    mark    BYTEA NOT NULL PRIMARY KEY,
    made_at BIGINT NOT NULL
);

CREATE INDEX commits_made ON commits (made_at);

CREATE TABLE tenants (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    change_seq BIGINT NOT NULL UNIQUE,
    name       TEXT COLLATE "C" NOT NULL,
    plan       TEXT COLLATE "C" NOT NULL,
    settings   TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version    BIGINT NOT NULL
);

-- record and details are the credential. The columns after them are copies to search, filter and
-- sort by; nothing is decided by them. A row's key is the number of its last change, so that the
-- change feed and the load at start read the table in its own order. They read the first three
-- columns of every row.
CREATE TABLE credentials (
    change_seq BIGINT NOT NULL PRIMARY KEY,
    deleted    SMALLINT NOT NULL,
    record     BYTEA NOT NULL,
    id         TEXT COLLATE "C" NOT NULL UNIQUE,
    version    BIGINT NOT NULL,
    details    TEXT COLLATE "C" NOT NULL,
    tenant     TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    owner_type TEXT COLLATE "C" NOT NULL,
    owner_id   TEXT COLLATE "C" NOT NULL,
    owner_key  TEXT COLLATE "C" NOT NULL,
    name_key   TEXT COLLATE "C" NOT NULL,
    apis       TEXT COLLATE "C" NOT NULL,
    status     TEXT COLLATE "C" NOT NULL,
    managed    SMALLINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL -- the largest number for never
);

CREATE INDEX credentials_created ON credentials (created_at) WHERE deleted = 0;
CREATE INDEX credentials_tenant ON credentials (tenant, created_at) WHERE deleted = 0;
CREATE INDEX credentials_owner ON credentials (tenant, owner_id) WHERE deleted = 0;

-- Every digest in use, so that none is given out twice. The secrets themselves are in the record.
CREATE TABLE secrets (
    digest BYTEA NOT NULL PRIMARY KEY
);

CREATE TABLE tokens (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    digest     BYTEA NOT NULL UNIQUE,
    pepper     BIGINT NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    tenant     TEXT COLLATE "C" NOT NULL,
    roles      TEXT COLLATE "C" NOT NULL,
    preview    TEXT COLLATE "C" NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT NOT NULL,
    version    BIGINT NOT NULL,
    mac        BYTEA NOT NULL
);

CREATE INDEX tokens_created ON tokens (created_at, id);

CREATE TABLE audit (
    chain      TEXT COLLATE "C" NOT NULL,
    seq        BIGINT NOT NULL,
    time       BIGINT NOT NULL,
    actor_type TEXT COLLATE "C" NOT NULL,
    actor_id   TEXT COLLATE "C" NOT NULL,
    actor_name TEXT COLLATE "C" NOT NULL,
    action     TEXT COLLATE "C" NOT NULL,
    target     TEXT COLLATE "C" NOT NULL,
    detail     TEXT COLLATE "C" NOT NULL,
    address    TEXT COLLATE "C" NOT NULL,
    request    TEXT COLLATE "C" NOT NULL,
    prev       BYTEA NOT NULL,
    mac        BYTEA NOT NULL,
    PRIMARY KEY (chain, seq)
);
