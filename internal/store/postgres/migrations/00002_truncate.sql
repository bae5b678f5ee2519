-- A table that is emptied is history that is lost, too. This stands apart because
-- CockroachDB has no trigger for it, and is left out there.

-- +goose Up
CREATE TRIGGER transactions_no_truncate BEFORE TRUNCATE ON transactions
    FOR EACH STATEMENT EXECUTE FUNCTION saldo_refuse('transactions are append-only');
CREATE TRIGGER entries_no_truncate BEFORE TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION saldo_refuse('entries are append-only');
CREATE TRIGGER holds_no_truncate BEFORE TRUNCATE ON holds
    FOR EACH STATEMENT EXECUTE FUNCTION saldo_refuse('holds are never deleted');
CREATE TRIGGER refunds_no_truncate BEFORE TRUNCATE ON refunds
    FOR EACH STATEMENT EXECUTE FUNCTION saldo_refuse('counts of refunds are never deleted');
