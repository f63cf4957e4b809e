-- What one machine needs beyond keys: people, repeatable requests, certificates, counts that outlive a
-- restart, and indexes for lists of a million. No time is the year 1, as in the first migration.

-- +goose Up

-- People, where they are signed in, and the one-time codes with which they choose their passwords.
-- name_key is there to search by.
CREATE TABLE users (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant      TEXT COLLATE "C" NOT NULL, -- empty for the provider's people
    email       TEXT COLLATE "C" NOT NULL UNIQUE,
    name        TEXT COLLATE "C" NOT NULL,
    name_key    TEXT COLLATE "C" NOT NULL,
    roles       TEXT COLLATE "C" NOT NULL,
    role_key    TEXT COLLATE "C" NOT NULL,
    password    TEXT COLLATE "C" NOT NULL,
    disabled    SMALLINT NOT NULL,
    no_keys     SMALLINT NOT NULL,
    held        TEXT COLLATE "C" NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    password_at BIGINT NOT NULL,
    version     BIGINT NOT NULL,
    mac         BYTEA NOT NULL
);

CREATE INDEX users_created ON users (created_at, id);
CREATE INDEX users_tenant ON users (tenant, created_at, id);

CREATE TABLE sessions (
    digest       BYTEA NOT NULL PRIMARY KEY,
    id           TEXT COLLATE "C" NOT NULL UNIQUE,
    user_id      TEXT COLLATE "C" NOT NULL,
    address      TEXT COLLATE "C" NOT NULL,
    created_at   BIGINT NOT NULL,
    seen_at      BIGINT NOT NULL,
    confirmed_at BIGINT NOT NULL,
    mac          BYTEA NOT NULL
);

CREATE INDEX sessions_user ON sessions (user_id, created_at);

CREATE TABLE links (
    user_id    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    digest     BYTEA NOT NULL UNIQUE,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    mac        BYTEA NOT NULL
);

-- The person a token acts as; empty for nobody.
ALTER TABLE tokens ADD COLUMN acts_as TEXT COLLATE "C" NOT NULL DEFAULT '';

-- Requests that took effect, so that one which is sent again does not do so twice. Both digests are
-- under the pepper.
CREATE TABLE replays (
    request_key BYTEA NOT NULL PRIMARY KEY,
    request     BYTEA NOT NULL,
    target      TEXT COLLATE "C" NOT NULL,
    expires_at  BIGINT NOT NULL
);

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
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value      BYTEA NOT NULL,
    written_at BIGINT NOT NULL
);

-- Who may do what only one may do at a time, and until when.
CREATE TABLE leases (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder     TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT NOT NULL
);

-- What a gateway had in memory and shall have again after a restart. It is written about once a
-- second, apart from the change feed: nobody has to hear of it.
CREATE TABLE counts (
    subject   TEXT COLLATE "C" NOT NULL,
    level     TEXT COLLATE "C" NOT NULL,
    route     TEXT COLLATE "C" NOT NULL,
    unit      TEXT COLLATE "C" NOT NULL,
    starts_at BIGINT NOT NULL,
    ends_at   BIGINT NOT NULL,
    used      BIGINT NOT NULL,
    PRIMARY KEY (subject, level, route, unit, starts_at)
);

CREATE INDEX counts_ended ON counts (ends_at);

CREATE TABLE last_used (
    credential TEXT COLLATE "C" NOT NULL,
    secret     TEXT COLLATE "C" NOT NULL,
    used_at    BIGINT NOT NULL,
    PRIMARY KEY (credential, secret)
);

-- Lists of audit entries are ordered by time, and narrowed by one of these. (The table's own key, chain
-- and number, settles ties and needs no place in an index here.)
CREATE INDEX audit_time ON audit (time);
CREATE INDEX audit_chain ON audit (chain, time);
CREATE INDEX audit_target ON audit (target, time);
CREATE INDEX audit_actor ON audit (actor_id, time);
CREATE INDEX audit_action ON audit (action, time);
