package engine_test

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// headsOf gives the heads of a ledger's wallets.
func headsOf(t testing.TB, store engine.Reader) (heads []engine.Head) {
	t.Helper()
	noError(t, engine.Heads(ctx, store, func(h engine.Head) error {
		heads = append(heads, h)
		return nil
	}))
	return heads
}

// evidence gives heads as a checkpoint does.
func evidence(heads ...engine.Head) iter.Seq2[engine.Head, error] {
	return func(yield func(engine.Head, error) bool) {
		for _, h := range heads {
			if !yield(h, nil) {
				return
			}
		}
	}
}

// against gives the problems that a ledger has beside a checkpoint.
func against(t testing.TB, store engine.Reader, heads ...engine.Head) []string {
	t.Helper()
	report, err := engine.Verify(ctx, store, engine.VerifyOptions{Evidence: evidence(heads...)})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "heads that were compared", report.Heads, int64(len(heads)))
	return report.Problems
}

func TestHeads(t *testing.T) {
	t.Parallel()
	store, _ := sample(t)
	var want []engine.Head
	for id, versions := range []int64{0, 6, 2, 11} {
		if versions > 0 {
			entry, err := store.Entry(ctx, sms(ledger.AccountID(id)), versions)
			noError(t, err)
			want = append(want, engine.Head{WalletRef: entry.WalletRef, Version: versions, Hash: entry.Hash})
		}
	}
	check(t, "heads", headsOf(t, store), want)
	fault := errors.New("disk full")
	calls := 0
	err := engine.Heads(ctx, store, func(engine.Head) error { calls++; return fault })
	if !errors.Is(err, fault) || calls != 1 {
		t.Errorf("Heads called on %d times after an error, and gives %v", calls, err)
	}
}

// A checkpoint of any moment is right for the ledger as it is and as it goes on.
func TestEvidenceOfAnIntactLedger(t *testing.T) {
	t.Parallel()
	store, _ := sample(t)
	heads := headsOf(t, store)
	check(t, "problems", against(t, store, heads...), []string{})
	check(t, "problems with no heads", against(t, store), []string{})
	for i := range heads {
		check(t, "problems with a part of the heads", against(t, store, heads[i]), []string{})
	}
	for version := range int64(11) {
		entry, err := store.Entry(ctx, sms(3), version+1)
		noError(t, err)
		check(t, "problems with an earlier head", against(t, store, engine.Head{WalletRef: sms(3), Version: version + 1, Hash: entry.Hash}), []string{})
	}
	e := start(t, store, engine.Options{}, 0)
	for id := range ledger.AccountID(4) {
		post(t, e, topUp(fmt.Sprint("later-", id), id+1, 1))
	}
	check(t, "problems later", against(t, store, heads...), []string{})
}

// Each head that is not what the ledger has is told, at whatever place it stands.
func TestEvidenceAgainstTheLedger(t *testing.T) {
	t.Parallel()
	store, _ := sample(t)
	heads := headsOf(t, store)
	changed := func(i int, change func(*engine.Head)) []engine.Head {
		all := slices.Clone(heads)
		change(&all[i])
		return all
	}
	voip := func(account ledger.AccountID) engine.Head {
		return engine.Head{WalletRef: ledger.WalletRef{Account: account, Service: ledger.VoIP}, Version: 1}
	}
	lost := func(service string, account int) string {
		return fmt.Sprintf("wallet %s of account %d: the checkpoint has it, the ledger does not", service, account)
	}
	before, between, after := voip(1), voip(2), voip(9)
	before.Service, between.Service = "a", "tuv"
	for _, tt := range []struct {
		name  string
		heads []engine.Head
		want  []string
	}{
		{"another hash", changed(0, func(h *engine.Head) { h.Hash[0]++ }), []string{"entry 6 of wallet sms of account 1: it is not the one of the checkpoint"}},
		{"another hash, the last", changed(2, func(h *engine.Head) { h.Hash[31]++ }), []string{"entry 11 of wallet sms of account 3: it is not the one of the checkpoint"}},
		{"another version's hash", changed(0, func(h *engine.Head) { h.Version = 5 }), []string{"entry 5 of wallet sms of account 1: it is not the one of the checkpoint"}},
		{"a later version", changed(1, func(h *engine.Head) { h.Version = 3 }), []string{"wallet sms of account 2: it ends at entry 2, the checkpoint has 3"}},
		{"a wallet without entries", slices.Insert(slices.Clone(heads), 1, voip(1)), []string{"wallet voip of account 1: it ends at entry 0, the checkpoint has 1"}},
		{"a wallet before the first", append([]engine.Head{before}, heads...), []string{lost("a", 1)}},
		{"a wallet in between", slices.Insert(slices.Clone(heads), 2, between), []string{lost("tuv", 2)}},
		{"wallets after the last", append(slices.Clone(heads), after, engine.Head{WalletRef: sms(10), Version: 1}), []string{lost("voip", 9), lost("sms", 10)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			check(t, "problems", against(t, store, tt.heads...), tt.want)
		})
	}
}

// Evidence that cannot be read is no evidence of an intact ledger.
func TestEvidenceThatCannotBeRead(t *testing.T) {
	t.Parallel()
	store, _ := sample(t)
	fault := errors.New("not a line of a checkpoint")
	heads := headsOf(t, store)
	for n := range len(heads) + 1 {
		broken := func(yield func(engine.Head, error) bool) {
			for _, h := range heads[:n] {
				if !yield(h, nil) {
					return
				}
			}
			yield(engine.Head{}, fault)
		}
		if report, err := engine.Verify(ctx, store, engine.VerifyOptions{Evidence: broken}); !errors.Is(err, fault) || report != nil {
			t.Errorf("evidence that breaks off after %d heads: %v, %v", n, report, err)
		}
	}
}
