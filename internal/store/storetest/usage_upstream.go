package storetest

import (
	"fmt"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// via names an upstream in metadata, as callers do.
func via(upstream string) ledger.Metadata {
	return ledger.Metadata{"country": "VN", engine.UpstreamMember: upstream}
}

// upstreamSample has usage of all sorts, of which each amount is another power of two.
func (s *suite) upstreamSample() {
	s.Helper()
	s.insert(account(7), account(8))
	var batch engine.Batch
	add := func(kind ledger.Kind, amount ledger.Amount, metadata ledger.Metadata, parent *ledger.Transaction) *ledger.Transaction {
		t := used(fmt.Sprint(kind, amount), 7+ledger.AccountID(len(batch.Transactions)%2), ledger.SMS, kind, amount, start)
		t.Metadata, t.Parent = metadata, ledger.TransactionID{}
		if parent != nil {
			t.Parent = parent.ID
		}
		batch.Transactions = append(batch.Transactions, t)
		return t
	}
	main := add(ledger.Charge, 1, via("main"), nil)
	add(ledger.Charge, 2, nil, nil)
	add(ledger.Charge, 4, via("backup"), nil)
	// The word alone is nothing, wherever it stands.
	add(ledger.Charge, 8, ledger.Metadata{"note": `"upstream":"main"`, "Upstream": "main", "a.upstream": "main", "main": "upstream"}, nil)
	hold := add(ledger.PlaceHold, 1000, via("main"), nil)
	without := add(ledger.Capture, 16, nil, hold)
	other := add(ledger.Capture, 32, via("backup"), hold)
	add(ledger.Capture, 64, via(""), hold)
	add(ledger.Capture, 128, ledger.Metadata{"country": "CN"}, hold)
	add(ledger.Capture, 256, via("main"), add(ledger.PlaceHold, 1001, nil, nil))
	add(ledger.Refund, 512, nil, main)
	add(ledger.Refund, 1024, via("backup"), main)
	// A refund of a capture goes with what was captured.
	add(ledger.Refund, 2048, nil, without)
	add(ledger.Refund, 4096, nil, other)
	add(ledger.Charge, 8192, via(unusualText[1]), nil)
	add(ledger.TopUp, 16384, via("main"), nil)
	add(ledger.Charge, 32768, via("main"), nil).Rejection = ledger.InsufficientFunds
	add(ledger.Charge, 65536, via("main"), nil).CreatedAt = start.Add(time.Second)
	add(ledger.Charge, 131072, ledger.Metadata{engine.UpstreamMember: "Main"}, nil)
	s.append(&batch)
}

func testUsageOfUpstream(s *suite) {
	store := s.open()
	s.upstreamSample()
	row := func(kind ledger.Kind, count int64, charged, refunded string) engine.UsageRow {
		return engine.UsageRow{Kind: kind, Currency: "CNY", Count: count, Charged: total(s, charged), Refunded: total(s, refunded)}
	}
	for upstream, want := range map[string][]engine.UsageRow{
		"main":         {row(ledger.Capture, 3, "400", "0"), row(ledger.Charge, 1, "1", "0"), row(ledger.Refund, 2, "0", "2560")},
		"backup":       {row(ledger.Capture, 1, "32", "0"), row(ledger.Charge, 1, "4", "0"), row(ledger.Refund, 2, "0", "5120")},
		unusualText[1]: {row(ledger.Charge, 1, "8192", "0")},
		"none":         nil,
		"mai":          nil,
		"upstream":     nil,
	} {
		query := engine.UsageQuery{From: start, To: start.Add(time.Second), By: engine.ByKind, Upstream: upstream, Limit: 100}
		check(s, "usage of "+upstream, must[[]engine.UsageRow](s)(store.Usage(s.Context(), query)), want)
	}
	of := func(account ledger.AccountID, count int64, charged, refunded string) engine.UsageRow {
		return engine.UsageRow{Account: account, Currency: "CNY", Count: count, Charged: total(s, charged), Refunded: total(s, refunded)}
	}
	seven, eight := of(7, 4, "65921", "0"), of(8, 1, "16", "2560")
	for what, tt := range map[string]struct {
		query engine.UsageQuery
		want  []engine.UsageRow
	}{
		"by account":       {engine.UsageQuery{Limit: 100}, []engine.UsageRow{seven, eight}},
		"the first page":   {engine.UsageQuery{Limit: 1}, []engine.UsageRow{seven}},
		"the next page":    {engine.UsageQuery{Limit: 1, After: 7}, []engine.UsageRow{eight}},
		"of one account":   {engine.UsageQuery{Limit: 100, Account: 8}, []engine.UsageRow{eight}},
		"of another range": {engine.UsageQuery{Limit: 100, From: start.Add(time.Second)}, []engine.UsageRow{of(7, 1, "65536", "0")}},
	} {
		tt.query.By, tt.query.Upstream, tt.query.To = engine.ByAccount, "main", start.Add(time.Hour)
		check(s, "usage of main "+what, must[[]engine.UsageRow](s)(store.Usage(s.Context(), tt.query)), tt.want)
	}
}
