-- +goose Up

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
