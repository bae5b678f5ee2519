package engine

import (
	"context"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// Head is the end of a wallet's chain at some moment. It stands for the whole
// history of the wallet up to then.
type Head struct {
	ledger.WalletRef
	Version int64
	Hash    ledger.Hash
}

// Heads calls fn for the head of every wallet that has entries, in order of
// WalletRef, all of one consistent state of the ledger.
func Heads(ctx context.Context, store Reader, fn func(Head) error) error {
	return store.Snapshot(ctx, func(snapshot Snapshot) error {
		after := ledger.WalletRef{}
		for {
			wallets, err := snapshot.Wallets(ctx, after, verifyPage)
			if err != nil {
				return err
			}
			for i := range wallets {
				w := &wallets[i]
				if w.Version == 0 {
					continue
				}
				if err := fn(Head{WalletRef: w.WalletRef, Version: w.Version, Hash: w.Head}); err != nil {
					return err
				}
			}
			if len(wallets) < verifyPage {
				return nil
			}
			after = wallets[len(wallets)-1].WalletRef
		}
	})
}

// evidence gives the heads of a checkpoint one after another.
type evidence struct {
	next    func() (Head, error, bool)
	waiting *Head // read, and not yet compared
}

func (e *evidence) peek() (*Head, error) {
	if e.waiting == nil {
		head, err, more := e.next()
		if err != nil || !more {
			return nil, err
		}
		e.waiting = &head
	}
	return e.waiting, nil
}

// head is what the evidence says of a wallet, nil where it says nothing.
func (v *verifier) head(wallet ledger.WalletRef) (*Head, error) {
	if err := v.lostHeads(&wallet); err != nil || v.evidence == nil {
		return nil, err
	}
	head, err := v.evidence.peek()
	if err != nil || head == nil || head.WalletRef != wallet {
		return nil, err
	}
	v.Heads++
	v.evidence.waiting = nil
	return head, nil
}

// lostHeads reports the heads of wallets that are not there any more: those
// before the next wallet, or before the end.
func (v *verifier) lostHeads(next *ledger.WalletRef) error {
	if v.evidence == nil {
		return nil
	}
	for {
		head, err := v.evidence.peek()
		if err != nil || head == nil || next != nil && head.Compare(*next) >= 0 {
			return err
		}
		v.Heads++
		v.problemf("wallet %s of account %d: the checkpoint has it, the ledger does not", head.Service, head.Account)
		v.evidence.waiting = nil
	}
}
