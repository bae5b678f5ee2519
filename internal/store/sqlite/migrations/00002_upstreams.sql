-- What the accounts at providers had left. Their amounts are decimals of any
-- count of digits, so they are text; NULL where the provider did not tell.

-- +goose Up
CREATE TABLE upstreams (
    name        TEXT    PRIMARY KEY,
    provider    TEXT    NOT NULL,
    interval_us INTEGER NOT NULL, -- microseconds between two questions
    due_at      INTEGER NOT NULL, -- while somebody asks: when the claim ends
    barred_at   INTEGER, -- NULL for not barred
    asked_at    INTEGER, -- NULL for never
    status      TEXT    NOT NULL,
    code        TEXT    NOT NULL,
    message     TEXT    NOT NULL,
    failures    INTEGER NOT NULL,
    good_at     INTEGER, -- NULL before there was a balance
    account     TEXT    NOT NULL, -- as the balance says, like the next two
    billing     TEXT    NOT NULL,
    buckets     TEXT    NOT NULL, -- JSON; '' for none
    claimed_by  TEXT    NOT NULL -- who asks; '' for nobody
) STRICT, WITHOUT ROWID;

CREATE TABLE upstream_readings (
    upstream     TEXT    NOT NULL,
    at           INTEGER NOT NULL,
    service      TEXT    NOT NULL,
    unit         TEXT    NOT NULL,
    currency     TEXT    NOT NULL, -- '' for none
    amount       TEXT    NOT NULL,
    credit_limit TEXT,
    available    TEXT,
    pending      TEXT,
    rise         INTEGER NOT NULL CHECK (rise IN (0, 1)),
    PRIMARY KEY (upstream, at, service, unit, currency)
) STRICT, WITHOUT ROWID;
