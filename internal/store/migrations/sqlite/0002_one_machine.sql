-- What one machine needs beyond keys: people, repeatable requests, certificates, counts that outlive a
-- restart, and indexes for lists of a million. No time is the year 1, as in the first migration.

-- +goose Up

-- People, where they are signed in, and the one-time codes with which they choose their passwords.
-- name_key is there to search by.
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

-- Requests that took effect, so that one which is sent again does not do so twice. Both digests are
-- under the pepper.
CREATE TABLE replays (
    request_key BLOB    NOT NULL PRIMARY KEY,
    request     BLOB    NOT NULL,
    target      TEXT    NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX replays_expiry ON replays (expires_at);

-- What lists are narrowed and ordered by.
DROP INDEX credentials_created;
DROP INDEX credentials_tenant;
DROP INDEX credentials_owner;

CREATE INDEX credentials_created ON credentials (created_at, id) WHERE deleted = 0;
CREATE INDEX credentials_updated ON credentials (updated_at, id) WHERE deleted = 0;
CREATE INDEX credentials_expires ON credentials (expires_at, id) WHERE deleted = 0;
CREATE INDEX credentials_name ON credentials (name_key, id) WHERE deleted = 0;
CREATE INDEX credentials_tenant_created ON credentials (tenant, created_at, id) WHERE deleted = 0;
CREATE INDEX credentials_tenant_name ON credentials (tenant, name_key, id) WHERE deleted = 0;
CREATE INDEX credentials_owner ON credentials (owner_id) WHERE deleted = 0;
CREATE INDEX credentials_status ON credentials (status) WHERE deleted = 0 AND status <> 'active';
CREATE INDEX credentials_clients ON credentials (kind) WHERE deleted = 0 AND kind <> 'api_key';

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

-- What a gateway had in memory and shall have again after a restart. It is written about once a
-- second, apart from the change feed: nobody has to hear of it.
CREATE TABLE counts (
    subject   TEXT    NOT NULL,
    level     TEXT    NOT NULL,
    route     TEXT    NOT NULL,
    unit      TEXT    NOT NULL,
    starts_at INTEGER NOT NULL,
    ends_at   INTEGER NOT NULL,
    used      INTEGER NOT NULL,
    PRIMARY KEY (subject, level, route, unit, starts_at)
) STRICT, WITHOUT ROWID;

CREATE INDEX counts_ended ON counts (ends_at);

CREATE TABLE last_used (
    credential TEXT    NOT NULL,
    secret     TEXT    NOT NULL,
    used_at    INTEGER NOT NULL,
    PRIMARY KEY (credential, secret)
) STRICT, WITHOUT ROWID;

-- Lists of audit entries are ordered by time, and narrowed by one of these. (The table's own key, chain
-- and number, settles ties and needs no place in an index here.)
CREATE INDEX audit_time ON audit (time);
CREATE INDEX audit_chain ON audit (chain, time);
CREATE INDEX audit_target ON audit (target, time);
CREATE INDEX audit_actor ON audit (actor_id, time);
CREATE INDEX audit_action ON audit (action, time);
