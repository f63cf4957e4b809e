-- What a gateway had in memory and shall have again after a restart. It is written about once a
-- second, apart from the change feed: nobody has to hear of it.

-- +goose Up

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
