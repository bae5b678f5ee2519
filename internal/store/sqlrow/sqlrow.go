// Package sqlrow is what both stores make of their rows alike: lists and
// metadata as the text of a column, and what was read separately put together.
package sqlrow

import (
	"encoding/json"
	"net/netip"
	"strings"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// JoinWords is the column of a list of names, with spaces between them.
func JoinWords[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, word := range words {
		texts[i] = string(word)
	}
	return strings.Join(texts, " ")
}

// Words reads what JoinWords wrote; nil for an empty column.
func Words[T ~string](text string) []T {
	var words []T
	for word := range strings.FieldsSeq(text) {
		words = append(words, T(word))
	}
	return words
}

// JoinNetworks is the column of an allow-list.
func JoinNetworks(networks []netip.Prefix) string {
	texts := make([]string, len(networks))
	for i, network := range networks {
		texts[i] = network.String()
	}
	return strings.Join(texts, " ")
}

// Networks reads what JoinNetworks wrote; nil for an empty column.
func Networks(text string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for word := range strings.FieldsSeq(text) {
		network, err := netip.ParsePrefix(word)
		if err != nil {
			return nil, err
		}
		networks = append(networks, network)
	}
	return networks, nil
}

// EncodeMetadata gives "" for no metadata, the usual case, to keep rows short.
func EncodeMetadata(m ledger.Metadata) (string, error) {
	if len(m) == 0 {
		return "", nil
	}
	text, err := json.Marshal(m)
	return string(text), err
}

// DecodeMetadata reads what EncodeMetadata wrote.
func DecodeMetadata(text string) (ledger.Metadata, error) {
	if text == "" {
		return nil, nil
	}
	var m ledger.Metadata
	err := json.Unmarshal([]byte(text), &m)
	return m, err
}

// Place puts entries, and the ids of counted transactions, to their transactions.
func Place(rows []engine.TransactionRow, entries []ledger.Entry, counted []ledger.TransactionID) {
	type place struct {
		ledger.WalletRef
		version int64
	}
	at := make(map[place]*ledger.Entry, len(entries))
	for i := range entries {
		at[place{entries[i].WalletRef, entries[i].Version}] = &entries[i]
	}
	has := make(map[ledger.TransactionID]bool, len(counted))
	for _, id := range counted {
		has[id] = true
	}
	for i := range rows {
		t := &rows[i]
		t.Entry, t.ToEntry, t.Counted = at[place{t.Wallet, t.Version}], at[place{t.To, t.ToVersion}], has[t.ID]
	}
}
