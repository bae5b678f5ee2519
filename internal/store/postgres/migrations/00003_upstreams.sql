-- What is known of the balances at providers. Amounts are exact decimals as text,
-- with the digits that the provider sent; times are as in the ledger, and NULL
-- where there is none.

-- +goose Up

-- A row for each upstream, which changes with each question.
CREATE TABLE upstreams (
    name        text     COLLATE "C" PRIMARY KEY,
    provider    text     COLLATE "C" NOT NULL,
    interval_us bigint   NOT NULL DEFAULT 0,
    due_at      bigint   NOT NULL, -- where a node has claimed it, when the claim ends
    barred_at   bigint,
    asked_at    bigint,
    status      text     NOT NULL DEFAULT '',
    code        text     NOT NULL DEFAULT '',
    message     text     NOT NULL DEFAULT '',
    failures    bigint   NOT NULL DEFAULT 0,
    good_at     bigint,  -- of the last balance; what follows is part of it
    account     text     NOT NULL DEFAULT '',
    billing     text     NOT NULL DEFAULT '',
    buckets     text     NOT NULL DEFAULT '',
    claimed_by  text     COLLATE "C" NOT NULL -- a node; '' for none
) WITH (fillfactor = 70);

-- What each bucket had left when. Rows are added, and removed when they are old.
-- Those of an upstream stand in order of time, in which they are read.
CREATE TABLE upstream_readings (
    upstream     text     COLLATE "C" NOT NULL,
    at           bigint   NOT NULL,
    service      text     COLLATE "C" NOT NULL,
    unit         text     COLLATE "C" NOT NULL,
    currency     text     COLLATE "C" NOT NULL,
    amount       text     NOT NULL,
    credit_limit text,
    available    text,
    pending      text,
    rise         smallint NOT NULL CHECK (rise IN (0, 1)),
    PRIMARY KEY (upstream, at, service, unit, currency)
);
