-- The gateways that share this database, see keys.Node. A row is one run of one of them. No time is the
-- year 1, as in the first migration.

-- +goose Up

CREATE TABLE nodes (
    id            TEXT NOT NULL,
    boot          TEXT NOT NULL,
    place         TEXT NOT NULL,
    started_at    BIGINT NOT NULL,
    seen_at       BIGINT NOT NULL,
    beats         BIGINT NOT NULL,
    applied       BIGINT NOT NULL,
    applied_at    BIGINT NOT NULL,
    max_stale     BIGINT NOT NULL,
    version       TEXT NOT NULL,
    configuration TEXT NOT NULL,
    pepper        BIGINT NOT NULL,
    host          TEXT NOT NULL,
    address       TEXT NOT NULL,
    admin_url     TEXT NOT NULL,
    sees          TEXT NOT NULL,
    left_at       BIGINT NOT NULL,
    PRIMARY KEY (id, boot)
);
