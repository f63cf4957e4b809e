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
