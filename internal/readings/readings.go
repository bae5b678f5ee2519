// Package readings is what Saldo keeps of the balances at providers: what each
// upstream had left when, and how it stands with asking it. Package upstream asks
// and writes it, both stores keep it beside the ledger, and the doors show it.
//
// Several nodes may be configured to ask the same upstreams. They agree through
// the store: who asks has claimed the upstream first, and a claim ends by itself.
package readings

import (
	"cmp"
	"context"
	"time"

	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/forecast"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// Store keeps readings. Times are in microseconds, and in UTC.
type Store interface {
	// UpstreamStates lists what is known of every upstream that was ever asked, in
	// order of their names.
	UpstreamStates(ctx context.Context) ([]State, error)
	// ClaimUpstream gives a node the right to ask, see Claim, and tells whether it
	// has: not where the upstream is not due, nor where another node has the right.
	// Either way it gives what is known. The upstream need not be known before.
	ClaimUpstream(ctx context.Context, claim Claim) (state State, claimed bool, err error)
	// RecordUpstream replaces what is known of an upstream, adds readings, and gives
	// the claim back, all or nothing. It tells whether it did: not where the claim was
	// lost meanwhile. A reading that is there already stays as it is.
	RecordUpstream(ctx context.Context, node string, state *State, added []Reading) (bool, error)
	// UpstreamReadings lists readings in order of time, and of one moment by their keys.
	UpstreamReadings(ctx context.Context, query Query) ([]Reading, error)
	// PruneUpstreams removes what need not be kept, see Pruning. Writes to the ledger
	// do not wait for it: it reads beside them, and removes a few rows at a time. It
	// tells how many readings it has removed.
	PruneUpstreams(ctx context.Context, pruning Pruning) (removed int64, err error)
}

// State is what is known of an upstream.
type State struct {
	Name     string
	Provider string
	Interval time.Duration // between two questions, as configured where it was last asked

	// DueAt is when it is asked next. Until BarredAt nobody may ask, whatever has
	// changed: the provider said so, or its limit does.
	DueAt    time.Time
	BarredAt time.Time

	// AskedAt is when it last answered, or failed to; zero before it ever was asked.
	AskedAt  time.Time
	Status   provider.Status // of that, "" before
	Code     string          // the provider's own, of a failure
	Message  string          // of a failure, in plain words
	Failures int             // how often asking has failed since it last did not

	// Good is the last balance, nil before there was one. Failures leave it as it is.
	Good *Balance
}

// Balance is what an upstream had left when it last told.
type Balance struct {
	At      time.Time
	Account string
	Billing provider.Billing
	Buckets []Bucket
}

// Bucket is what was left for one service, and what follows from it.
type Bucket struct {
	provider.Bucket

	// Min is how much should be left, nil where nobody said.
	Min *decimal.Decimal
	// Empty is when nothing can be spent any more, and Low when the minimum is
	// reached. They are nil where an amount means nothing, because the account is paid
	// later or without limit, and Low where there is no minimum.
	Empty, Low *forecast.Forecast
	// Warned tells that somebody was told that it will be gone soon, and need not be
	// told again. It lasts through restarts, and until there is clearly more left.
	Warned bool
}

// BelowMin tells whether less can be spent than should be left.
func (b *Bucket) BelowMin() bool { return b.Min != nil && b.Spendable().LessThan(*b.Min) }

// EmptyBy tells whether, by what was spent lately, nothing may be left at a time.
func (b *Bucket) EmptyBy(at time.Time) bool {
	return b.Empty != nil && !b.Empty.Earliest.IsZero() && b.Empty.Earliest.Before(at)
}

// Key tells the buckets of an upstream apart.
type Key struct {
	Service  string
	Unit     provider.Unit
	Currency string // "" for none
}

// KeyOf is the key of a bucket.
func KeyOf(b *provider.Bucket) Key { return Key{b.Service, b.Unit, b.Currency} }

// Compare orders keys.
func (k Key) Compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Service, other.Service), cmp.Compare(k.Unit, other.Unit), cmp.Compare(k.Currency, other.Currency))
}

// Reading is what one bucket had left at a moment.
type Reading struct {
	Upstream string
	Key

	At          time.Time
	Amount      decimal.Decimal
	CreditLimit *decimal.Decimal // nil where nobody told, as the next two where the provider did not
	Available   *decimal.Decimal
	Pending     *decimal.Decimal
	// Rise tells that more could be spent than at the reading before: a top-up, most
	// likely. It and the one before it are kept for as long as any.
	Rise bool
}

// Spendable is what could be spent.
func (r *Reading) Spendable() decimal.Decimal {
	b := provider.Bucket{Amount: r.Amount, CreditLimit: r.CreditLimit, Available: r.Available}
	return b.Spendable()
}

// Claim asks for the right to ask an upstream. Clocks of nodes may differ by some
// seconds, so Until is some seconds after the asking has certainly ended.
type Claim struct {
	Name     string
	Provider string
	Node     string // the process, by a name that no other one has or had
	Now      time.Time
	Until    time.Time
	// Early asks before the upstream is due, though not while asking is barred: for
	// when the configuration may have changed.
	Early bool
}

// Query says which readings are wanted.
type Query struct {
	Upstream string
	Key      *Key // of one bucket, or nil for all
	From, To time.Time
	// Step gives, of each bucket, the last reading of each step only. Steps are
	// counted from 1970. It is whole microseconds; 0 for all readings.
	Step  time.Duration
	After Place // the zero value for the first page
	Limit int
}

// Place is where a list goes on: after the reading of this key at this time.
type Place struct {
	At  time.Time
	Key Key
}

// Lister is the part of a Store that lists readings.
type Lister interface {
	UpstreamReadings(ctx context.Context, query Query) ([]Reading, error)
}

// Each calls do with each reading that a query finds, in pages of its limit, and
// keeps none of them. Where there are more than most, it stops, and whole is false.
func Each(ctx context.Context, lister Lister, query Query, most int, do func(*Reading)) (whole bool, err error) {
	for total := 0; ; {
		found, err := lister.UpstreamReadings(ctx, query)
		if err != nil {
			return false, err
		}
		if total += len(found); total > most {
			return false, nil
		}
		for i := range found {
			do(&found[i])
		}
		if len(found) < query.Limit {
			return true, nil
		}
		last := &found[len(found)-1]
		query.After = Place{At: last.At, Key: last.Key}
	}
}

// Pruning says what need not be kept any more.
type Pruning struct {
	// Expired is the time before which nothing is kept: no readings, and no upstreams
	// that were not asked since. One that is due later, because somebody asks it right
	// now, or that is barred for longer, stays.
	Expired time.Time
	// Of readings from ThinFrom on and before ThinTo, each bucket keeps the last one of
	// each step, each rise, and the reading before it.
	ThinFrom, ThinTo time.Time
	Step             time.Duration
}

// Find gives the bucket of a key, nil where there is none, or no balance.
func (b *Balance) Find(key Key) *Bucket {
	if b == nil {
		return nil
	}
	for i := range b.Buckets {
		if KeyOf(&b.Buckets[i].Bucket) == key {
			return &b.Buckets[i]
		}
	}
	return nil
}
