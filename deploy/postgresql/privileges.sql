-- What the roles of a ledger may do. Its owner runs this in the ledger's database
-- after saldo init and after each upgrade: psql -f privileges.sql DATABASE
--
-- saldo_app serves. It adds to history and cannot change it, and it changes no
-- tables. saldo_read verifies, makes checkpoints, and looks.

GRANT USAGE ON SCHEMA public TO saldo_app, saldo_read;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO saldo_app, saldo_read;
GRANT INSERT ON transactions, entries TO saldo_app;
GRANT INSERT, UPDATE ON accounts, wallets, holds, refunds, system_accounts, keys TO saldo_app;
GRANT DELETE ON copy_progress TO saldo_app;
GRANT INSERT, UPDATE, DELETE ON upstreams TO saldo_app;
GRANT INSERT, DELETE ON upstream_readings TO saldo_app;
