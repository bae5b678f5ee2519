-- Amounts are integers of millionths of a currency unit; times are microseconds
-- since 1970 UTC; hashes and ids are bytes.
--
-- Text that is compared or ordered has the collation "C": the order is that of
-- its bytes on every machine, and an index does not depend on the version of a
-- library that knows languages.

-- +goose Up
CREATE TABLE accounts (
    id                 integer PRIMARY KEY CHECK (id >= 1),
    name               text    NOT NULL,
    currency           text    COLLATE "C" NOT NULL,
    status             text    NOT NULL CHECK (status IN ('active', 'suspended', 'closed')),
    external_reference text    COLLATE "C" CONSTRAINT accounts_by_reference UNIQUE, -- NULL for none, so that only real ones must differ
    metadata           text    NOT NULL,
    time_zone          text    NOT NULL,
    charge_on          text    NOT NULL, -- states of messages, separated by spaces
    created_at         bigint  NOT NULL
);

-- Rows of wallets change all the time, so pages keep room for the next version
-- of a row: then no index needs to know of it.
CREATE TABLE wallets (
    account_id    integer  NOT NULL REFERENCES accounts (id),
    service       text     COLLATE "C" NOT NULL,
    balance       bigint   NOT NULL,
    held          bigint   NOT NULL CHECK (held >= 0),
    credit_limit  bigint   NOT NULL CHECK (credit_limit >= 0),
    suspended     smallint NOT NULL CHECK (suspended IN (0, 1)),
    min_amount    bigint   NOT NULL CHECK (min_amount >= 0),
    max_amount    bigint   NOT NULL CHECK (max_amount >= 0),
    daily_cap     bigint   NOT NULL CHECK (daily_cap >= 0),
    monthly_cap   bigint   NOT NULL CHECK (monthly_cap >= 0),
    spent_on      bigint   NOT NULL, -- the day that is counted, such as 20261122; 0 for none
    spent_today   bigint   NOT NULL,
    spent_month   bigint   NOT NULL,
    version       bigint   NOT NULL CHECK (version >= 0),
    head          bytea    NOT NULL CHECK (length(head) = 32),
    last_entry_at bigint   NOT NULL DEFAULT 0, -- so that time does not run backwards between machines
    PRIMARY KEY (account_id, service)
) WITH (fillfactor = 70);

-- One row for each decided request, posted or rejected. The id derives from scope
-- and idempotency key, so its index is the idempotency check too, also between
-- machines. There is no sequence: the order of what was decided about a wallet is
-- that of time, and within a moment that of its entries and of their place in a batch.
CREATE TABLE transactions (
    id              bytea    CONSTRAINT transactions_by_id PRIMARY KEY CHECK (length(id) = 16),
    scope           integer  NOT NULL,
    idempotency_key text     NOT NULL,
    request_hash    bytea    NOT NULL CHECK (length(request_hash) = 32),
    kind            text     COLLATE "C" NOT NULL,
    account_id      integer  NOT NULL,
    service         text     COLLATE "C" NOT NULL,
    to_account_id   integer  NOT NULL,
    to_service      text     COLLATE "C" NOT NULL,
    amount          bigint   NOT NULL,
    parent          bytea    CHECK (length(parent) = 16), -- NULL for none
    expires_in      bigint   NOT NULL, -- seconds
    final           smallint NOT NULL CHECK (final IN (0, 1)),
    batch           bytea    CHECK (length(batch) = 16), -- NULL for none
    reference       text     COLLATE "C" NOT NULL,
    metadata        text     NOT NULL,
    rejection       text     COLLATE "C" NOT NULL, -- '' where it is posted
    moved           bigint   NOT NULL,
    balance         bigint   NOT NULL,
    held            bigint   NOT NULL,
    available       bigint   NOT NULL,
    daily_left      bigint   NOT NULL, -- -1 without a cap
    monthly_left    bigint   NOT NULL,
    remaining       bigint   NOT NULL, -- of the hold
    expires_at      bigint,  -- of the hold; NULL for none
    version         bigint   NOT NULL, -- of the entry in (account_id, service); 0 where it is rejected
    to_version      bigint   NOT NULL, -- of the entry in (to_account_id, to_service)
    created_at      bigint   NOT NULL,
    place           integer  NOT NULL DEFAULT 0 -- in its batch
);

-- Reports are about a range of time, and the latest time is where a node goes on.
CREATE INDEX transactions_by_time ON transactions (created_at);

-- Partial, so that the usual charge does not pay for them.
CREATE INDEX transactions_by_reference ON transactions (reference, account_id, created_at, id) WHERE reference <> '';
CREATE INDEX transactions_by_parent ON transactions (parent) WHERE parent IS NOT NULL;

CREATE TABLE entries (
    account_id     integer NOT NULL,
    service        text    COLLATE "C" NOT NULL,
    version        bigint  NOT NULL CHECK (version > 0),
    transaction_id bytea   NOT NULL CHECK (length(transaction_id) = 16),
    amount         bigint  NOT NULL,
    balance        bigint  NOT NULL,
    held           bigint  NOT NULL,
    created_at     bigint  NOT NULL,
    hash           bytea   NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (account_id, service, version)
);

-- What is reserved. The rows change; what made them change are transactions.
CREATE TABLE holds (
    id         bytea   PRIMARY KEY CHECK (length(id) = 16), -- of the transaction that placed it
    account_id integer NOT NULL,
    service    text    COLLATE "C" NOT NULL,
    scope      integer NOT NULL,
    key_id     text    COLLATE "C" NOT NULL, -- the key whose spend caps count it; '' for none
    reference  text    COLLATE "C" NOT NULL,
    state      text    COLLATE "C" NOT NULL CHECK (state IN ('open', 'captured', 'released', 'expired')),
    amount     bigint  NOT NULL CHECK (amount > 0),
    captured   bigint  NOT NULL CHECK (captured >= 0),
    remaining  bigint  NOT NULL CHECK (remaining >= 0 AND (remaining = 0) = (state <> 'open')),
    created_at bigint  NOT NULL,
    expires_at bigint  NOT NULL,
    closed_at  bigint  -- NULL while it is open
) WITH (fillfactor = 70);

CREATE INDEX holds_by_wallet ON holds (account_id, service, state, created_at, id);
CREATE INDEX holds_by_reference ON holds (reference, account_id, state, created_at) WHERE reference <> '';
CREATE INDEX holds_due ON holds (expires_at) WHERE state = 'open';

-- How much of a charge was given back, for charges of which something was.
CREATE TABLE refunds (
    charge_id bytea  PRIMARY KEY CHECK (length(charge_id) = 16),
    refunded  bigint NOT NULL CHECK (refunded >= 0)
) WITH (fillfactor = 70);

-- The other side of every movement. A total can pass 64 bits. Each write adds to
-- a shard that it takes by chance, so that nodes rarely wait for each other here; the
-- total of an account is the sum of its shards.
CREATE TABLE system_accounts (
    account  text     COLLATE "C" NOT NULL,
    currency text     COLLATE "C" NOT NULL,
    shard    smallint NOT NULL DEFAULT 0,
    total    numeric  NOT NULL,
    PRIMARY KEY (account, currency, shard)
) WITH (fillfactor = 50);

CREATE TABLE keys (
    id          text    COLLATE "C" CONSTRAINT keys_by_id PRIMARY KEY,
    digest      bytea   NOT NULL CONSTRAINT keys_by_digest UNIQUE CHECK (length(digest) = 32),
    last4       text    NOT NULL,
    account_id  integer REFERENCES accounts (id), -- NULL for the operator's keys
    scopes      text    NOT NULL, -- separated by spaces
    allow_list  text    NOT NULL, -- networks, separated by spaces
    daily_cap   bigint  NOT NULL CHECK (daily_cap >= 0),
    monthly_cap bigint  NOT NULL CHECK (monthly_cap >= 0),
    spent_on    bigint  NOT NULL,
    spent_today bigint  NOT NULL,
    spent_month bigint  NOT NULL,
    expires_at  bigint, -- NULL for never
    revoked_at  bigint, -- NULL for not revoked
    created_at  bigint  NOT NULL
) WITH (fillfactor = 70);

CREATE INDEX keys_by_account ON keys (account_id, id);

-- Has a row while the ledger is a copy of another one that was never served.
CREATE TABLE copy_progress (
    id           smallint PRIMARY KEY CHECK (id = 1),
    source       bytea    NOT NULL CHECK (length(source) = 32), -- digest of a key that the other one has
    transactions bigint   NOT NULL, -- so many are copied
    last         bytea    CHECK (length(last) = 16), -- of them; NULL for none
    finished     smallint NOT NULL CHECK (finished IN (0, 1)),
    run          bigint   NOT NULL -- names the process that copies
);

-- History is append-only, and the database itself says so. Nothing of this runs
-- when a row is added.
-- +goose StatementBegin
CREATE FUNCTION saldo_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0];
END
$$;
-- +goose StatementEnd

CREATE TRIGGER transactions_no_change BEFORE UPDATE OR DELETE ON transactions
    FOR EACH ROW EXECUTE FUNCTION saldo_refuse('transactions are append-only');
CREATE TRIGGER entries_no_change BEFORE UPDATE OR DELETE ON entries
    FOR EACH ROW EXECUTE FUNCTION saldo_refuse('entries are append-only');
CREATE TRIGGER holds_no_delete BEFORE DELETE ON holds
    FOR EACH ROW EXECUTE FUNCTION saldo_refuse('holds are never deleted');
CREATE TRIGGER refunds_no_delete BEFORE DELETE ON refunds
    FOR EACH ROW EXECUTE FUNCTION saldo_refuse('counts of refunds are never deleted');
