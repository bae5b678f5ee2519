// Package ledger is the domain of Saldo: accounts, wallets, transactions,
// entries, keys, and the rules that money follows.
//
// It is pure. It reads no clock, does no I/O, takes no context and imports the
// standard library alone, so that every rule can be tested against a simple
// model and read without knowing how it is stored or served.
package ledger
