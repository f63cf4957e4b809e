-- The gateways that share this database, see keys.Node. A row is one run of one of them. No time is the
-- year 1, as in the first migration.

-- +goose Up

CREATE TABLE nodes (
    id            TEXT    NOT NULL,
    boot          TEXT    NOT NULL,
    place         TEXT    NOT NULL,
    started_at    INTEGER NOT NULL,
    seen_at       INTEGER NOT NULL,
    beats         INTEGER NOT NULL,
    applied       INTEGER NOT NULL,
    applied_at    INTEGER NOT NULL,
    max_stale     INTEGER NOT NULL,
    version       TEXT    NOT NULL,
    configuration TEXT    NOT NULL,
    pepper        INTEGER NOT NULL,
    host          TEXT    NOT NULL,
    address       TEXT    NOT NULL,
    admin_url     TEXT    NOT NULL,
    sees          TEXT    NOT NULL,
    left_at       INTEGER NOT NULL,
    PRIMARY KEY (id, boot)
) STRICT, WITHOUT ROWID;

-- Who shares the limits while the store of their counters is lost, see limiter.Roster. Whoever writes
-- locks the line without a name first, so that no other heartbeat comes between his reading and writing.
CREATE TABLE shares (
    node       TEXT    NOT NULL PRIMARY KEY,
    renewed_at INTEGER NOT NULL,
    reckoned   TEXT    NOT NULL, -- ids, with blanks between
    lost       INTEGER NOT NULL  -- 1: it reckoned with others too, who were gone
) STRICT, WITHOUT ROWID;
INSERT INTO shares (node, renewed_at, reckoned, lost) VALUES ('', 0, '', 0);

-- What a counter's key in Redis is tagged with, so that a count can be brought back there; '': not known.
ALTER TABLE counts ADD COLUMN tag TEXT NOT NULL DEFAULT '';
