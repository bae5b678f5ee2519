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
    created_at         INTEGER NOT NULL
) STRICT;

CREATE TABLE wallets (
    account_id   INTEGER NOT NULL REFERENCES accounts (id),
    service      TEXT    NOT NULL,
    balance      INTEGER NOT NULL,
    held         INTEGER NOT NULL CHECK (held >= 0),
    credit_limit INTEGER NOT NULL CHECK (credit_limit >= 0),
    version      INTEGER NOT NULL CHECK (version >= 0),
    head         BLOB    NOT NULL CHECK (length(head) = 32),
    PRIMARY KEY (account_id, service)
) STRICT, WITHOUT ROWID;

-- One row for each decided request, posted or rejected. Its id derives from
-- scope and idempotency key, so finding it is the idempotency check too.
CREATE TABLE transactions (
    id              BLOB    PRIMARY KEY CHECK (length(id) = 16),
    scope           INTEGER NOT NULL,
    idempotency_key TEXT    NOT NULL,
    request_hash    BLOB    NOT NULL CHECK (length(request_hash) = 32),
    kind            TEXT    NOT NULL,
    account_id      INTEGER NOT NULL,
    service         TEXT    NOT NULL,
    to_account_id   INTEGER NOT NULL,
    to_service      TEXT    NOT NULL,
    amount          INTEGER NOT NULL,
    reference       TEXT    NOT NULL,
    metadata        TEXT    NOT NULL,
    rejection       TEXT    NOT NULL, -- '' where it is posted
    balance         INTEGER NOT NULL,
    held            INTEGER NOT NULL,
    available       INTEGER NOT NULL,
    version         INTEGER NOT NULL, -- of the entry in (account_id, service); 0 where it is rejected
    to_version      INTEGER NOT NULL, -- of the entry in (to_account_id, to_service)
    created_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row: the time of the last batch, so that the next is not before it.
CREATE TABLE clock (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    last_commit INTEGER NOT NULL
) STRICT;
INSERT INTO clock (id, last_commit) VALUES (1, 0);

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
    expires_at INTEGER, -- NULL for never
    revoked_at INTEGER, -- NULL for not revoked
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX keys_by_account ON keys (account_id, id);

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
