-- Amounts are integers of millionths of a currency unit; times are microseconds
-- since 1970 UTC; hashes and ids are blobs.

-- +goose Up
CREATE TABLE accounts (
    id                 INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 2147483647),
    name               TEXT    NOT NULL,
    currency           TEXT    NOT NULL,
    status             TEXT    NOT NULL CHECK (status IN ('active', 'suspended', 'closed')),
    external_reference TEXT    UNIQUE, -- NULL for none, so that only real ones must differ
    metadata           TEXT    NOT NULL,
    time_zone          TEXT    NOT NULL,
    charge_on          TEXT    NOT NULL, -- states of messages, separated by spaces
    created_at         INTEGER NOT NULL
) STRICT;

CREATE TABLE wallets (
    account_id   INTEGER NOT NULL REFERENCES accounts (id),
    service      TEXT    NOT NULL,
    balance      INTEGER NOT NULL,
    held         INTEGER NOT NULL CHECK (held >= 0),
    credit_limit INTEGER NOT NULL CHECK (credit_limit >= 0),
    suspended    INTEGER NOT NULL CHECK (suspended IN (0, 1)),
    min_amount   INTEGER NOT NULL CHECK (min_amount >= 0),
    max_amount   INTEGER NOT NULL CHECK (max_amount >= 0),
    daily_cap    INTEGER NOT NULL CHECK (daily_cap >= 0),
    monthly_cap  INTEGER NOT NULL CHECK (monthly_cap >= 0),
    spent_on     INTEGER NOT NULL, -- the day that is counted, such as 20261122; 0 for none
    spent_today  INTEGER NOT NULL,
    spent_month  INTEGER NOT NULL,
    version      INTEGER NOT NULL CHECK (version >= 0),
    head         BLOB    NOT NULL CHECK (length(head) = 32),
    PRIMARY KEY (account_id, service)
) STRICT, WITHOUT ROWID;

-- One row for each decided request, posted or rejected, in the order in which
-- they were decided. The id derives from scope and idempotency key, so finding it
-- is the idempotency check too. It is an index of its own, and not the key of the
-- rows, because ids come in no order: rows go to the end of the table, and only
-- the small index is written all over.
CREATE TABLE transactions (
    seq             INTEGER PRIMARY KEY,
    id              BLOB    NOT NULL CHECK (length(id) = 16),
    scope           INTEGER NOT NULL,
    idempotency_key TEXT    NOT NULL,
    request_hash    BLOB    NOT NULL CHECK (length(request_hash) = 32),
    kind            TEXT    NOT NULL,
    account_id      INTEGER NOT NULL,
    service         TEXT    NOT NULL,
    to_account_id   INTEGER NOT NULL,
    to_service      TEXT    NOT NULL,
    amount          INTEGER NOT NULL,
    parent          BLOB    CHECK (length(parent) = 16), -- NULL for none
    expires_in      INTEGER NOT NULL, -- seconds
    final           INTEGER NOT NULL CHECK (final IN (0, 1)),
    batch           BLOB    CHECK (length(batch) = 16), -- NULL for none
    reference       TEXT    NOT NULL,
    metadata        TEXT    NOT NULL,
    rejection       TEXT    NOT NULL, -- '' where it is posted
    moved           INTEGER NOT NULL,
    balance         INTEGER NOT NULL,
    held            INTEGER NOT NULL,
    available       INTEGER NOT NULL,
    daily_left      INTEGER NOT NULL, -- -1 without a cap
    monthly_left    INTEGER NOT NULL,
    remaining       INTEGER NOT NULL, -- of the hold
    expires_at      INTEGER, -- of the hold; NULL for none
    version         INTEGER NOT NULL, -- of the entry in (account_id, service); 0 where it is rejected
    to_version      INTEGER NOT NULL, -- of the entry in (to_account_id, to_service)
    created_at      INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX transactions_by_id ON transactions (id);

-- Partial, so that the usual charge does not pay for them.
CREATE INDEX transactions_by_reference ON transactions (reference, account_id, created_at) WHERE reference <> '';
CREATE INDEX transactions_by_parent ON transactions (parent) WHERE parent IS NOT NULL;

CREATE TABLE entries (
    account_id     INTEGER NOT NULL,
    service        TEXT    NOT NULL,
    version        INTEGER NOT NULL CHECK (version > 0),
    transaction_id BLOB    NOT NULL CHECK (length(transaction_id) = 16),
    amount         INTEGER NOT NULL,
    balance        INTEGER NOT NULL,
    held           INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    hash           BLOB    NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (account_id, service, version)
) STRICT, WITHOUT ROWID;

-- What is reserved. The rows change; what made them change are transactions.
CREATE TABLE holds (
    id         BLOB    PRIMARY KEY CHECK (length(id) = 16), -- of the transaction that placed it
    account_id INTEGER NOT NULL,
    service    TEXT    NOT NULL,
    scope      INTEGER NOT NULL,
    key_id     TEXT    NOT NULL, -- the key whose spend caps count it; '' for none
    reference  TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('open', 'captured', 'released', 'expired')),
    amount     INTEGER NOT NULL CHECK (amount > 0),
    captured   INTEGER NOT NULL CHECK (captured >= 0),
    remaining  INTEGER NOT NULL CHECK (remaining >= 0 AND (remaining = 0) = (state <> 'open')),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    closed_at  INTEGER -- NULL while it is open
) STRICT, WITHOUT ROWID;

CREATE INDEX holds_by_wallet ON holds (account_id, service, state, created_at, id);
CREATE INDEX holds_by_reference ON holds (reference, account_id, state, created_at) WHERE reference <> '';
CREATE INDEX holds_due ON holds (expires_at) WHERE state = 'open';

-- How much of a charge was given back, for charges of which something was.
CREATE TABLE refunds (
    charge_id BLOB    PRIMARY KEY CHECK (length(charge_id) = 16),
    refunded  INTEGER NOT NULL CHECK (refunded >= 0)
) STRICT, WITHOUT ROWID;

-- The other side of every movement. The total can pass 64 bits, so it is text:
-- a decimal integer of millionths.
CREATE TABLE system_accounts (
    account  TEXT NOT NULL,
    currency TEXT NOT NULL,
    total    TEXT NOT NULL,
    PRIMARY KEY (account, currency)
) STRICT, WITHOUT ROWID;

CREATE TABLE keys (
    id         TEXT    PRIMARY KEY,
    digest     BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32),
    last4      TEXT    NOT NULL,
    account_id INTEGER REFERENCES accounts (id), -- NULL for the operator's keys
    scopes     TEXT    NOT NULL, -- separated by spaces
    allow_list TEXT    NOT NULL, -- networks, separated by spaces
    daily_cap   INTEGER NOT NULL CHECK (daily_cap >= 0),
    monthly_cap INTEGER NOT NULL CHECK (monthly_cap >= 0),
    spent_on    INTEGER NOT NULL,
    spent_today INTEGER NOT NULL,
    spent_month INTEGER NOT NULL,
    expires_at INTEGER, -- NULL for never
    revoked_at INTEGER, -- NULL for not revoked
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX keys_by_account ON keys (account_id, id);

-- Has a row while the ledger is a copy of another one that was never served.
CREATE TABLE copy_progress (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    source       BLOB    NOT NULL CHECK (length(source) = 32), -- digest of a key that the other one has
    transactions INTEGER NOT NULL, -- so many are copied
    last         BLOB    CHECK (length(last) = 16), -- of them; NULL for none
    finished     INTEGER NOT NULL CHECK (finished IN (0, 1))
) STRICT;

-- History is append-only, and the database itself says so.
-- +goose StatementBegin
CREATE TRIGGER transactions_no_update BEFORE UPDATE ON transactions
BEGIN SELECT RAISE(ABORT, 'transactions are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER transactions_no_delete BEFORE DELETE ON transactions
BEGIN SELECT RAISE(ABORT, 'transactions are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER entries_no_update BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER entries_no_delete BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER holds_no_delete BEFORE DELETE ON holds
BEGIN SELECT RAISE(ABORT, 'holds are never deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER refunds_no_delete BEFORE DELETE ON refunds
BEGIN SELECT RAISE(ABORT, 'counts of refunds are never deleted'); END;
-- +goose StatementEnd
