package ledger_test

import (
	"flag"
	"fmt"
	"math/big"
	"reflect"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// ---- The model: the rules about money in the plainest form there is. ----

type modelAccount struct {
	currency string
	status   ledger.Status
}

type modelWallet struct {
	account               *modelAccount
	balance, held, credit *big.Int
	entries               int64
}

func (w *modelWallet) available() *big.Int {
	sum := new(big.Int).Sub(w.balance, w.held)
	return sum.Add(sum, w.credit)
}

// carries tells whether every sum over the wallet stays within an Amount.
func (w *modelWallet) carries(balance *big.Int) bool {
	shown := new(big.Int).Sub(balance, w.held)
	return fits(balance) && fits(shown) && fits(new(big.Int).Add(shown, w.credit)) && fits(new(big.Int).Add(balance, w.credit))
}

type modelLeg struct {
	wallet *modelWallet
	delta  *big.Int
}

// outcome says why the model rejects, "" where it posts.
func outcome(kind ledger.Kind, legs []modelLeg) ledger.Code {
	for _, leg := range legs {
		spends := leg.delta.Sign() < 0 && kind != ledger.Adjustment
		switch status := leg.wallet.account.status; {
		case status == ledger.Closed, status == ledger.Suspended && spends:
			return ledger.AccountNotActive
		}
	}
	for _, leg := range legs {
		if leg.wallet.account.currency != legs[0].wallet.account.currency {
			return ledger.CurrencyMismatch
		}
	}
	for _, leg := range legs {
		spends := leg.delta.Sign() < 0 && kind != ledger.Adjustment
		if spends && new(big.Int).Add(leg.wallet.available(), leg.delta).Sign() < 0 {
			return ledger.InsufficientFunds
		}
	}
	for _, leg := range legs {
		if !leg.wallet.carries(new(big.Int).Add(leg.wallet.balance, leg.delta)) {
			return ledger.AmountOutOfRange
		}
	}
	return ""
}

// ---- The ledger under test beside the model. ----

// world is some wallets as the engine would hold them, the same wallets in the
// model, and everything that was ever posted.
type world struct {
	accounts map[ledger.AccountID]*modelAccount
	refs     []ledger.WalletRef
	model    map[ledger.WalletRef]*modelWallet
	wallets  map[ledger.WalletRef]ledger.Wallet
	entries  map[ledger.WalletRef][]ledger.Entry
	requests map[ledger.TransactionID]ledger.Hash
	system   map[string]*ledger.Total // currency and system account
	now      time.Time
	posts    int
}

func newWorld() *world {
	w := &world{
		accounts: map[ledger.AccountID]*modelAccount{
			1: {"CNY", ledger.Active}, 2: {"CNY", ledger.Active}, 3: {"VND", ledger.Active},
		},
		model: map[ledger.WalletRef]*modelWallet{}, wallets: map[ledger.WalletRef]ledger.Wallet{}, entries: map[ledger.WalletRef][]ledger.Entry{},
		requests: map[ledger.TransactionID]ledger.Hash{}, system: map[string]*ledger.Total{}, now: noon,
	}
	for id := ledger.AccountID(1); id <= 3; id++ {
		for _, service := range []ledger.Service{ledger.SMS, ledger.VoIP} {
			ref := ledger.WalletRef{Account: id, Service: service}
			w.refs = append(w.refs, ref)
			w.model[ref] = &modelWallet{account: w.accounts[id], balance: new(big.Int), held: new(big.Int), credit: new(big.Int)}
			w.wallets[ref] = ledger.Wallet{WalletRef: ref}
		}
	}
	return w
}

func (w *world) side(ref ledger.WalletRef) *ledger.Side {
	account := w.accounts[ref.Account]
	return &ledger.Side{Wallet: w.wallets[ref], Currency: account.currency, Status: account.status}
}

// request draws a valid one, often for all that is available or a millionth beside it.
func (w *world) request(t *rapid.T) ledger.Request {
	r := ledger.Request{
		IdempotencyKey: "k" + strconv.Itoa(w.posts),
		Kind:           rapid.SampledFrom([]ledger.Kind{ledger.TopUp, ledger.Charge, ledger.Refund, ledger.Adjustment, ledger.Transfer}).Draw(t, "kind"),
		Wallet:         rapid.SampledFrom(w.refs).Draw(t, "wallet"),
	}
	w.posts++
	if r.Kind == ledger.Transfer {
		r.To = rapid.SampledFrom(w.refs).Filter(func(ref ledger.WalletRef) bool { return ref != r.Wallet }).Draw(t, "to")
	}
	r.Amount = amounts().Draw(t, "amount")
	if rapid.Bool().Draw(t, "about all there is") {
		wallet := w.wallets[r.Wallet]
		if about, err := wallet.Available().Add(ledger.Amount(rapid.Int64Range(-1, 1).Draw(t, "beside"))); err == nil {
			r.Amount = about
		}
	}
	if r.Amount == 0 {
		r.Amount = 1
	}
	if r.Amount < 0 && r.Kind != ledger.Adjustment {
		r.Amount = -r.Amount
	}
	return r
}

// post decides one request, and checks all that a single decision promises.
func (w *world) post(t *rapid.T, r ledger.Request) (ledger.Kind, ledger.Code) {
	if err := r.Validate(); err != nil {
		t.Fatalf("drew an invalid request: %v", err)
	}
	w.now = w.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "µs")) * time.Microsecond)

	legs := []modelLeg{{w.model[r.Wallet], bigOf(r.Amount)}}
	if r.Kind == ledger.Charge || r.Kind == ledger.Transfer {
		legs[0].delta.Neg(legs[0].delta)
	}
	from, to := w.side(r.Wallet), (*ledger.Side)(nil)
	touched := []*ledger.Side{from}
	if r.Kind == ledger.Transfer {
		to = w.side(r.To)
		touched = append(touched, to)
		legs = append(legs, modelLeg{w.model[r.To], bigOf(r.Amount)})
	}
	want := outcome(r.Kind, legs)

	before := make([]ledger.Side, len(touched))
	for i, side := range touched {
		before[i] = *side
	}
	tx := ledger.NewTransaction(r)
	entries := tx.Decide(from, to, w.now)

	if tx.Rejection != want {
		t.Fatalf("%s of %s: decided %q, want %q\nfrom %+v\nto   %+v", r.Kind, r.Amount, tx.Rejection, want, from, to)
	}
	if ledger.CodeOf(tx.Err()) != want || !tx.CreatedAt.Equal(w.now) || !reflect.DeepEqual(tx.Request, r) {
		t.Fatalf("the transaction is %+v with the error %v", tx, tx.Err())
	}
	if tx.Balance != from.Wallet.Balance || tx.Held != from.Wallet.Held || tx.Available != from.Wallet.Available() {
		t.Fatalf("the outcome %+v is not that of the wallet %+v", tx, from.Wallet)
	}
	for i, side := range touched {
		if side.Currency != before[i].Currency || side.Status != before[i].Status {
			t.Fatalf("the decision changed the account: %+v", side)
		}
	}
	// The same again from the same state: a retried batch must come out the same.
	againFrom, againTo, again := before[0], (*ledger.Side)(nil), ledger.NewTransaction(r)
	if to != nil {
		againTo = &before[1]
	}
	firstSides := append([]ledger.Side(nil), before...)
	if e := again.Decide(&againFrom, againTo, w.now); !reflect.DeepEqual(e, entries) || !reflect.DeepEqual(again, tx) {
		t.Fatalf("decided again, it is %+v with %+v", again, e)
	}

	// The transaction finds its own entries by these, and finds none where it was rejected.
	versions := [2]int64{}
	for i, e := range entries {
		versions[i] = e.Version
	}
	if versions != [2]int64{tx.Version, tx.ToVersion} {
		t.Fatalf("versions are %d and %d, the entries' are %v", tx.Version, tx.ToVersion, versions)
	}

	if want != "" {
		if len(entries) != 0 {
			t.Fatalf("a rejected transaction has the entries %+v", entries)
		}
		for i, side := range touched {
			if *side != firstSides[i] {
				t.Fatalf("a rejection (%s) changed %+v to %+v", want, firstSides[i], side)
			}
		}
		return r.Kind, want
	}

	if len(entries) != len(legs) {
		t.Fatalf("%d entries for %d wallets", len(entries), len(legs))
	}
	moved := new(big.Int)
	for i, leg := range legs {
		leg.wallet.balance.Add(leg.wallet.balance, leg.delta)
		leg.wallet.entries++
		ref := touched[i].Wallet.WalletRef
		w.wallets[ref] = touched[i].Wallet
		w.entries[ref] = append(w.entries[ref], entries[i])
		moved.Add(moved, bigOf(entries[i].Amount))
	}
	w.requests[tx.ID] = r.Hash()
	if r.Kind == ledger.Transfer {
		if moved.Sign() != 0 {
			t.Fatalf("a transfer made %s millionths", moved)
		}
	} else {
		name := from.Currency + " " + string(r.Kind.Counterpart())
		if w.system[name] == nil {
			w.system[name] = &ledger.Total{}
		}
		w.system[name].Add(-entries[0].Amount)
	}
	if (r.Kind == ledger.Charge || r.Kind == ledger.Transfer) && from.Wallet.Available() < 0 {
		t.Fatalf("a %s left %s available", r.Kind, from.Wallet.Available())
	}
	return r.Kind, ""
}

// check proves what "saldo verify" proves: law 4 over all that was posted.
func (w *world) check(t *rapid.T) {
	sums := map[string]*ledger.Total{}
	for name, total := range w.system {
		currency := name[:3]
		if sums[currency] == nil {
			sums[currency] = &ledger.Total{}
		}
		sums[currency].AddTotal(total)
	}
	for _, ref := range w.refs {
		wallet, model := w.wallets[ref], w.model[ref]
		if bigOf(wallet.Balance).Cmp(model.balance) != 0 || bigOf(wallet.Held).Cmp(model.held) != 0 ||
			bigOf(wallet.CreditLimit).Cmp(model.credit) != 0 || wallet.Version != model.entries || wallet.WalletRef != ref {
			t.Fatalf("the wallet is %+v, the model %+v", wallet, model)
		}
		if err := wallet.Check(); err != nil {
			t.Fatalf("the wallet %+v: %v", wallet, err)
		}
		var head ledger.Hash
		sum := new(big.Int)
		for i, e := range w.entries[ref] {
			if e.WalletRef != ref || e.Version != int64(i)+1 {
				t.Fatalf("entry %d of %v is %+v", i+1, ref, e)
			}
			if sum.Add(sum, bigOf(e.Amount)); bigOf(e.Balance).Cmp(sum) != 0 {
				t.Fatalf("after entry %+v the entries add up to %s", e, sum)
			}
			if request, ok := w.requests[e.Transaction]; !ok || e.Hash != e.ChainHash(head, request) {
				t.Fatalf("the chain breaks at %+v", e)
			}
			head = e.Hash
		}
		if wallet.Head != head || sum.Cmp(model.balance) != 0 {
			t.Fatalf("the entries of %+v end at %x with %s", wallet, head, sum)
		}
		currency := w.accounts[ref.Account].currency
		if sums[currency] == nil {
			sums[currency] = &ledger.Total{}
		}
		sums[currency].Add(wallet.Balance)
	}
	for currency, sum := range sums {
		if !sum.IsZero() {
			t.Fatalf("%s does not balance: %s", currency, sum)
		}
	}
}

func TestDecideAgainstModel(t *testing.T) {
	t.Parallel()
	seen, decided := map[string]int{}, 0
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		post := func(t *rapid.T) {
			kind, code := w.post(t, w.request(t))
			seen[string(kind)+" "+string(code)]++
			decided++
		}
		t.Repeat(map[string]func(*rapid.T){
			"":       w.check,
			"post":   post,
			"post 2": post, // movements more often than changes of the rules they meet
			"post 3": post,
			"post 4": post,
			"status": func(t *rapid.T) {
				id := rapid.SampledFrom([]ledger.AccountID{1, 2, 3}).Draw(t, "account")
				// Active most of the time, or nothing moves.
				w.accounts[id].status = rapid.SampledFrom([]ledger.Status{ledger.Active, ledger.Active, ledger.Suspended, ledger.Closed}).Draw(t, "status")
			},
			"hold or limit": func(t *rapid.T) {
				ref := rapid.SampledFrom(w.refs).Draw(t, "wallet")
				wallet := w.wallets[ref]
				value := max(0, amounts().Draw(t, "value"))
				if rapid.Bool().Draw(t, "held") {
					wallet.Held = value
				} else {
					wallet.CreditLimit = value
				}
				if wallet.Check() == nil {
					w.wallets[ref] = wallet
					w.model[ref].held, w.model[ref].credit = bigOf(wallet.Held), bigOf(wallet.CreditLimit)
				}
			},
		})
	})
	// That everything agreed means little where nothing happened.
	if f := flag.Lookup("rapid.checks"); decided < 1500 || f != nil && f.Value.String() != f.DefValue {
		return
	}
	for _, kind := range []ledger.Kind{ledger.TopUp, ledger.Charge, ledger.Refund, ledger.Adjustment, ledger.Transfer} {
		for _, code := range []ledger.Code{"", ledger.AccountNotActive, ledger.AmountOutOfRange, ledger.InsufficientFunds, ledger.CurrencyMismatch} {
			spends := kind == ledger.Charge || kind == ledger.Transfer
			switch {
			case code == ledger.CurrencyMismatch && kind != ledger.Transfer, code == ledger.InsufficientFunds && !spends:
				continue // cannot be
			case code == ledger.AmountOutOfRange && spends:
				continue // rare; TestDecideEdges has it
			}
			if seen[string(kind)+" "+string(code)] == 0 {
				t.Errorf("no %s ended as %q in %d decisions: %v", kind, code, decided, seen)
			}
		}
	}
}

// ---- Edges, one at a time. ----

func one(kind ledger.Kind, amount ledger.Amount) ledger.Transaction {
	r := ledger.Request{IdempotencyKey: "k", Kind: kind, Wallet: ledger.WalletRef{Account: 1, Service: ledger.SMS}, Amount: amount}
	if kind == ledger.Transfer {
		r.To = ledger.WalletRef{Account: 2, Service: ledger.SMS}
	}
	return ledger.NewTransaction(r)
}

func active(account ledger.AccountID, balance, held, credit ledger.Amount) *ledger.Side {
	return &ledger.Side{
		Wallet: ledger.Wallet{
			WalletRef: ledger.WalletRef{Account: account, Service: ledger.SMS},
			Balance:   balance, Held: held, CreditLimit: credit, Version: 41, Head: ledger.Hash{1},
		},
		Currency: "CNY", Status: ledger.Active,
	}
}

func TestDecideEdges(t *testing.T) {
	t.Parallel()
	const (
		highest = ledger.MaxAmount
		poor    = ledger.InsufficientFunds
		beyond  = ledger.AmountOutOfRange
	)
	tests := []struct {
		name                  string
		balance, held, credit ledger.Amount
		kind                  ledger.Kind
		amount                ledger.Amount
		code                  ledger.Code
		after                 ledger.Amount
	}{
		{"charge all", 10, 0, 0, ledger.Charge, 10, "", 0},
		{"charge a millionth too much", 10, 0, 0, ledger.Charge, 11, poor, 10},
		{"charge nothing left", 0, 0, 0, ledger.Charge, 1, poor, 0},
		{"charge beside a hold", 10, 4, 0, ledger.Charge, 6, "", 4},
		{"charge into a hold", 10, 4, 0, ledger.Charge, 7, poor, 10},
		{"charge all credit", 10, 0, 5, ledger.Charge, 15, "", -5},
		{"charge beyond credit", 10, 0, 5, ledger.Charge, 16, poor, 10},
		{"charge on credit beside a hold", 10, 4, 5, ledger.Charge, 11, "", -1},
		{"charge on credit into a hold", 10, 4, 5, ledger.Charge, 12, poor, 10},
		// The limit was lowered, or an adjustment took more: spent already.
		{"charge below the limit", -10, 0, 5, ledger.Charge, 1, poor, -10},
		{"charge all there can be", highest, 0, 0, ledger.Charge, highest, "", 0},
		{"charge all credit there can be", 0, 0, highest, ledger.Charge, highest, "", -highest},
		{"charge below all credit", -highest, 0, highest, ledger.Charge, 1, poor, -highest},
		{"charge the most of nothing", 0, 0, 0, ledger.Charge, highest, poor, 0},
		{"charge the most of less than nothing", -highest, 0, 0, ledger.Charge, highest, poor, -highest},
		// Available is zero there, but balance - held would pass the range first.
		{"charge held credit", 0, highest, highest, ledger.Charge, 1, poor, 0},

		{"topup to the top", highest - 1, 0, 0, ledger.TopUp, 1, "", highest},
		{"topup past the top", highest, 0, 0, ledger.TopUp, 1, beyond, highest},
		{"topup far past the top", highest, 0, 0, ledger.TopUp, highest, beyond, highest},
		{"topup to the top with credit", highest - 6, 0, 5, ledger.TopUp, 1, "", highest - 5},
		{"topup past the top with credit", highest - 5, 0, 5, ledger.TopUp, 1, beyond, highest - 5},
		// A hold makes room in available, and takes it away when it is released.
		{"topup past the top with credit and hold", highest - 5, 100, 5, ledger.TopUp, 1, beyond, highest - 5},
		{"topup out of the deepest", -highest, 0, 0, ledger.TopUp, highest, "", 0},
		{"topup of a debt in part", -10, 0, 0, ledger.TopUp, 4, "", -6},
		{"refund to the top", highest - 1, 0, 0, ledger.Refund, 1, "", highest},
		{"refund past the top", highest, 0, 0, ledger.Refund, 1, beyond, highest},

		{"adjustment up past the top", highest, 0, 0, ledger.Adjustment, 1, beyond, highest},
		{"adjustment below zero", 5, 0, 0, ledger.Adjustment, -8, "", -3},
		{"adjustment of what is held", 5, 5, 0, ledger.Adjustment, -5, "", 0},
		{"adjustment below the credit limit", -5, 0, 5, ledger.Adjustment, -1, "", -6},
		{"adjustment to the bottom", 0, 0, 0, ledger.Adjustment, -highest, "", -highest},
		{"adjustment past the bottom", -1, 0, 0, ledger.Adjustment, -highest, beyond, -1},
		{"adjustment from the bottom", -highest, 0, 0, ledger.Adjustment, -1, beyond, -highest},
		{"adjustment past the bottom by a hold", 0, 1, 0, ledger.Adjustment, -highest, beyond, 0},
		{"adjustment to the bottom by a hold", 0, 1, 0, ledger.Adjustment, -highest + 1, "", -highest + 1},
		{"adjustment past the bottom, within credit", 0, 1, highest, ledger.Adjustment, -highest, beyond, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			side := active(1, tt.balance, tt.held, tt.credit)
			if err := side.Wallet.Check(); err != nil {
				t.Fatalf("no wallet to start from: %v", err)
			}
			before := *side
			tx := one(tt.kind, tt.amount)
			entries := tx.Decide(side, nil, noon)
			if tx.Rejection != tt.code || side.Wallet.Balance != tt.after || tx.Balance != tt.after {
				t.Errorf("decided %q with balance %d, want %q with %d", tx.Rejection, int64(side.Wallet.Balance), tt.code, int64(tt.after))
			}
			switch {
			case tt.code != "" && (*side != before || entries != nil):
				t.Errorf("the rejection changed %+v to %+v, with %v", before, *side, entries)
			case tt.code == "" && (len(entries) != 1 || entries[0].Version != 42 || side.Wallet.Version != 42):
				t.Errorf("posted as %+v, wallet %+v", entries, side.Wallet)
			}
		})
	}
}

func TestDecideTransferEdges(t *testing.T) {
	t.Parallel()
	const highest = ledger.MaxAmount
	tests := []struct {
		name      string
		from, to  *ledger.Side
		amount    ledger.Amount
		code      ledger.Code
		left, got ledger.Amount
	}{
		{"all, with credit", active(1, 10, 4, 5), active(2, 0, 0, 0), 11, "", -1, 11},
		{"too much", active(1, 10, 4, 5), active(2, 0, 0, 0), 12, ledger.InsufficientFunds, 10, 0},
		// The receiver's money does not count for the sender.
		{"from the poor to the rich", active(1, 0, 0, 0), active(2, 100, 0, 100), 1, ledger.InsufficientFunds, 0, 100},
		{"to the top", active(1, 1, 0, 0), active(2, highest-1, 0, 0), 1, "", 0, highest},
		{"past the top", active(1, 1, 0, 0), active(2, highest, 0, 0), 1, ledger.AmountOutOfRange, 1, highest},
		{"past the top by the receiver's credit", active(1, 1, 0, 0), active(2, highest-5, 0, 5), 1, ledger.AmountOutOfRange, 1, highest - 5},
		{"pays the receiver's debt", active(1, highest, 0, 0), active(2, -highest, 0, 0), highest, "", 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			from, to := *tt.from, *tt.to
			tx := one(ledger.Transfer, tt.amount)
			entries := tx.Decide(tt.from, tt.to, noon)
			if tx.Rejection != tt.code || tt.from.Wallet.Balance != tt.left || tt.to.Wallet.Balance != tt.got {
				t.Errorf("decided %q, balances %d and %d; want %q, %d and %d", tx.Rejection,
					int64(tt.from.Wallet.Balance), int64(tt.to.Wallet.Balance), tt.code, int64(tt.left), int64(tt.got))
			}
			if tt.code != "" {
				// Neither half of a transfer without the other.
				if *tt.from != from || *tt.to != to || entries != nil {
					t.Errorf("the rejection changed %+v and %+v, with %v", tt.from, tt.to, entries)
				}
				return
			}
			if len(entries) != 2 || entries[0].WalletRef != from.Wallet.WalletRef || entries[1].WalletRef != to.Wallet.WalletRef ||
				entries[0].Amount != -tt.amount || entries[1].Amount != tt.amount {
				t.Errorf("posted as %+v", entries)
			}
		})
	}
}

// Which movements each status takes, in full: every kind, either sign.
func TestDecideStatusMatrix(t *testing.T) {
	t.Parallel()
	const yes, no = true, false
	matrix := []struct {
		kind                      ledger.Kind
		amount                    ledger.Amount
		active, suspended, closed bool
	}{
		{ledger.TopUp, 5, yes, yes, no},
		{ledger.Charge, 5, yes, no, no},
		{ledger.Refund, 5, yes, yes, no},
		{ledger.Adjustment, 5, yes, yes, no},
		{ledger.Adjustment, -5, yes, yes, no},
	}
	check := func(name string, want bool, tx ledger.Transaction, from, to *ledger.Side) {
		tx.Decide(from, to, noon)
		code := ledger.Code("")
		if !want {
			code = ledger.AccountNotActive
		}
		if tx.Rejection != code {
			t.Errorf("%s: decided %q, want %q", name, tx.Rejection, code)
		}
	}
	for _, row := range matrix {
		for status, want := range map[ledger.Status]bool{
			ledger.Active: row.active, ledger.Suspended: row.suspended, ledger.Closed: row.closed,
			// A status that this version does not know moves nothing.
			"": no, "frozen": no,
		} {
			side := active(1, 100, 0, 0)
			side.Status = status
			check(fmt.Sprintf("%s of %d, %s", row.kind, int64(row.amount), status), want, one(row.kind, row.amount), side, nil)
		}
	}
	// A transfer needs a sender who may spend and a receiver who may be paid.
	sends := map[ledger.Status]bool{ledger.Active: yes, ledger.Suspended: no, ledger.Closed: no, "frozen": no}
	receives := map[ledger.Status]bool{ledger.Active: yes, ledger.Suspended: yes, ledger.Closed: no, "frozen": no}
	for sender, may := range sends {
		for receiver, can := range receives {
			from, to := active(1, 100, 0, 0), active(2, 0, 0, 0)
			from.Status, to.Status = sender, receiver
			check(fmt.Sprintf("transfer from %s to %s", sender, receiver), may && can, one(ledger.Transfer, 5), from, to)
		}
	}
}

// Where several reasons hold, the one that is told is stored and told again, so
// the order is part of the contract.
func TestDecideOrderOfReasons(t *testing.T) {
	t.Parallel()
	from, to := active(1, 0, 0, 0), active(2, ledger.MaxAmount, 0, 0)
	from.Status, to.Currency = ledger.Suspended, "VND"
	decide := func(want ledger.Code) {
		t.Helper()
		tx := one(ledger.Transfer, 5)
		tx.Decide(from, to, noon)
		if tx.Rejection != want {
			t.Errorf("decided %q, want %q", tx.Rejection, want)
		}
	}
	decide(ledger.AccountNotActive)
	from.Status = ledger.Active
	decide(ledger.CurrencyMismatch)
	to.Currency = "CNY"
	decide(ledger.InsufficientFunds)
	from.Wallet.Balance = 5
	decide(ledger.AmountOutOfRange)
	to.Wallet.Balance--
	decide(ledger.AmountOutOfRange)
	to.Wallet.Balance -= 4
	decide("")
}

// An entry says all there is about it, and continues the wallet's chain.
func TestDecideEntry(t *testing.T) {
	t.Parallel()
	side := active(1, 100, 30, 7)
	tx := one(ledger.Charge, 25)
	got := tx.Decide(side, nil, noon)
	want := ledger.Entry{
		WalletRef: ledger.WalletRef{Account: 1, Service: ledger.SMS}, Version: 42, Transaction: tx.ID,
		Amount: -25, Balance: 75, Held: 30, CreatedAt: noon,
	}
	want.Hash = want.ChainHash(ledger.Hash{1}, tx.RequestHash)
	if !reflect.DeepEqual(got, []ledger.Entry{want}) {
		t.Errorf("entries are %+v, want %+v", got, want)
	}
	if w := side.Wallet; w.Head != want.Hash || w.Version != 42 || w.Held != 30 || w.CreditLimit != 7 {
		t.Errorf("the wallet is %+v", w)
	}
	if tx.Balance != 75 || tx.Held != 30 || tx.Available != 52 || tx.Rejection != "" || tx.Err() != nil || !tx.CreatedAt.Equal(noon) {
		t.Errorf("the transaction is %+v", tx)
	}
}
