-- People, where they are signed in, and the one-time codes with which they choose their passwords.
-- name_key is there to search by; no time is the year 1, as in the first migration.

-- +goose Up

CREATE TABLE users (
    id          TEXT    NOT NULL PRIMARY KEY,
    tenant      TEXT    NOT NULL, -- empty for the provider's people
    email       TEXT    NOT NULL UNIQUE,
    name        TEXT    NOT NULL,
    name_key    TEXT    NOT NULL,
    roles       TEXT    NOT NULL,
    role_key    TEXT    NOT NULL,
    password    TEXT    NOT NULL,
    disabled    INTEGER NOT NULL,
    no_keys     INTEGER NOT NULL,
    held        TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    password_at INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    mac         BLOB    NOT NULL
) STRICT;

CREATE INDEX users_created ON users (created_at, id);
CREATE INDEX users_tenant ON users (tenant, created_at, id);

CREATE TABLE sessions (
    digest       BLOB    NOT NULL PRIMARY KEY,
    id           TEXT    NOT NULL UNIQUE,
    user_id      TEXT    NOT NULL,
    address      TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    seen_at      INTEGER NOT NULL,
    confirmed_at INTEGER NOT NULL,
    mac          BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_user ON sessions (user_id, created_at);

CREATE TABLE links (
    user_id    TEXT    NOT NULL PRIMARY KEY,
    digest     BLOB    NOT NULL UNIQUE,
    created_by TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    mac        BLOB    NOT NULL
) STRICT;

-- The person a token acts as; empty for nobody.
ALTER TABLE tokens ADD COLUMN acts_as TEXT NOT NULL DEFAULT '';
