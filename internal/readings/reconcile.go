package readings

import (
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/provider"
)

// This file compares what a provider took with what the ledger charged. It knows
// neither store nor clock: readings go into Falls, and what was charged between
// their cuts into Reconcile.

// Moment is what a bucket had left at a reading.
type Moment struct {
	At     time.Time
	Amount decimal.Decimal
}

// Fall is what the amount of a bucket did between two readings. It is the amount
// and not what could be spent, because a changed credit limit is no spending.
type Fall struct {
	Opening, Closing Moment
	// ToppedUp adds up the rises between consecutive readings and Spent the falls, so
	// Opening + ToppedUp - Spent = Closing, exactly.
	ToppedUp, Spent decimal.Decimal
}

// add goes on to a reading.
func (f *Fall) add(r *Reading) {
	if change := r.Amount.Sub(f.Closing.Amount); change.IsPositive() {
		f.ToppedUp = f.ToppedUp.Add(change)
	} else {
		f.Spent = f.Spent.Sub(change)
	}
	f.Closing = Moment{r.At, r.Amount}
}

// BucketFalls are those of a bucket: over all, and in each interval.
type BucketFalls struct {
	Key
	Fall

	Intervals []Fall // one after the other without a gap, none of them empty
	passed    int    // how many of the cuts lie before Closing or at it
}

// Falls adds up readings as they come, so that none of them need be kept.
type Falls struct {
	cuts    []time.Time
	buckets map[Key]*BucketFalls
}

// NewFalls cuts time into intervals. Each cut moves to the last reading at it or
// before it, and where there is none before, to the first one after it: so what
// the ledger charged can be added up between exactly the times of two readings.
// Where a cut has no reading since the one before it, both move to the same one,
// and the interval is joined to the next. The first cut begins the range, and the
// last one ends it.
func NewFalls(cuts []time.Time) *Falls {
	return &Falls{cuts: cuts, buckets: make(map[Key]*BucketFalls)}
}

// Add goes on to a reading. Those of each bucket come in order of time.
func (f *Falls) Add(r *Reading) {
	begin, end := f.cuts[0], f.cuts[len(f.cuts)-1]
	if r.At.After(end) {
		return
	}
	b := f.buckets[r.Key]
	if b == nil || !r.At.After(begin) {
		start := Moment{r.At, r.Amount}
		b = &BucketFalls{Key: r.Key, Fall: Fall{Opening: start, Closing: start}}
		f.buckets[r.Key] = b
		b.passed = f.before(r.At, 0)
		return
	}
	// A cut before this reading, and not before the last one, moves to the last one.
	passed := f.before(r.At, b.passed)
	last := len(b.Intervals) - 1
	if cut := passed > b.passed; last < 0 || cut {
		b.Intervals = append(b.Intervals, Fall{Opening: b.Closing, Closing: b.Closing})
		last++
	}
	b.passed = passed
	b.add(r)
	b.Intervals[last].add(r)
}

// before counts the cuts before a time, of which some are counted already.
func (f *Falls) before(at time.Time, counted int) int {
	for counted < len(f.cuts) && f.cuts[counted].Before(at) {
		counted++
	}
	return counted
}

// Buckets gives what was added up, in order of keys, of the buckets that were read
// in the range.
func (f *Falls) Buckets() []BucketFalls {
	all := make([]BucketFalls, 0, len(f.buckets))
	for _, b := range f.buckets {
		if !b.Closing.At.Before(f.cuts[0]) {
			all = append(all, *b)
		}
	}
	slices.SortFunc(all, func(a, b BucketFalls) int { return a.Compare(b.Key) })
	return all
}

// SharedService is the service of a bucket from which all services are paid.
const SharedService = "main"

// PaidFrom says from which of an upstream's buckets a service of the ledger is
// paid: from the only one, from the one of the same name, or from the shared one.
// It is none where there are several that could be meant. Nor is it one that was
// read only once: nothing can be held against it, and what was charged must not vanish.
func PaidFrom(buckets []BucketFalls, service string) (bucket int, ok bool) {
	bucket, ok = named(buckets, service)
	return bucket, ok && len(buckets[bucket].Intervals) > 0
}

// named finds the bucket from which a service is paid by its name, or as the only one.
func named(buckets []BucketFalls, service string) (bucket int, ok bool) {
	if len(buckets) == 1 {
		return 0, true
	}
	for _, name := range []string{service, SharedService} {
		is := func(b BucketFalls) bool { return b.Service == name }
		if first := slices.IndexFunc(buckets, is); first >= 0 {
			return first, !slices.ContainsFunc(buckets[first+1:], is)
		}
	}
	return 0, false
}

// Charge is what the ledger charged, and gave back, for one service in one currency.
type Charge struct {
	Service, Currency string
	Count             int64
	Charged, Refunded decimal.Decimal
}

// Net is what was charged and not given back.
func (c *Charge) Net() decimal.Decimal { return c.Charged.Sub(c.Refunded) }

// Row is one interval with what was charged in it.
type Row struct {
	Fall

	Count int64
	// Net is nil where charges are in several currencies.
	Net *decimal.Decimal
	// PerCharge is what the provider took for each charge, nil where there was none.
	PerCharge *decimal.Decimal
	// Drift is how much more the provider took than it would have, had it taken the
	// same part of all charges in the range. Rows add up to zero.
	Drift *decimal.Decimal
}

// Reconciliation compares one bucket with what was charged through it.
type Reconciliation struct {
	BucketFalls

	Charges []Charge // of the whole range, in order of services, then of currencies
	// Margin is what was charged beyond what the provider took, and Percent how much
	// of the charges that is.
	Margin, Percent *decimal.Decimal
	Reason          string // why something of this is nil, in plain words
	Rows            []Row
	Largest         *Row // the one that drifts most, nil where none does
}

// roundTo is the least number of digits to which quotients are rounded; there are
// more where the provider's amounts have more.
const roundTo = 6

// Reconcile compares a bucket with the charges of each of its intervals.
func Reconcile(bucket *BucketFalls, charges [][]Charge) *Reconciliation {
	r := &Reconciliation{BucketFalls: *bucket, Rows: make([]Row, len(bucket.Intervals))}
	for i, interval := range bucket.Intervals {
		r.Rows[i].Fall = interval
		for j := range charges[i] {
			r.Rows[i].Count += charges[i][j].Count
			r.count(&charges[i][j])
		}
		if count := r.Rows[i].Count; count > 0 {
			each := interval.Spent.DivRound(decimal.NewFromInt(count), r.digits())
			r.Rows[i].PerCharge = &each
		}
	}
	slices.SortFunc(r.Charges, func(a, b Charge) int { return Key{a.Service, "", a.Currency}.Compare(Key{b.Service, "", b.Currency}) })
	r.judge(charges)
	return r
}

// count adds a charge to those of its service and currency.
func (r *Reconciliation) count(c *Charge) {
	at := slices.IndexFunc(r.Charges, func(known Charge) bool { return known.Service == c.Service && known.Currency == c.Currency })
	if at < 0 {
		r.Charges = append(r.Charges, *c)
		return
	}
	known := &r.Charges[at]
	known.Count += c.Count
	known.Charged, known.Refunded = known.Charged.Add(c.Charged), known.Refunded.Add(c.Refunded)
}

// judge says what can be said of the difference: nothing where charges are in
// several currencies, no margin where the provider counts in another unit.
func (r *Reconciliation) judge(charges [][]Charge) {
	if len(r.Rows) == 0 {
		r.Reason = "the balance was read only once in that time, so there is nothing to compare"
		return
	}
	if len(r.Charges) == 0 {
		r.Reason = "nothing was charged through this upstream in that time"
		return
	}
	currency, total := r.Charges[0].Currency, decimal.Zero
	for i := range r.Charges {
		if r.Charges[i].Currency != currency {
			r.Reason = "the charges are in several currencies"
			return
		}
		total = total.Add(r.Charges[i].Net())
	}
	for i := range r.Rows {
		net := decimal.Zero
		for j := range charges[i] {
			net = net.Add(charges[i][j].Net())
		}
		r.Rows[i].Net = &net
	}
	switch {
	case r.Unit == provider.Credits:
		r.Reason = "the balance is in credits, and the charges in " + currency
	case r.Currency == "":
		r.Reason = "it is not known in which currency the balance is"
	case r.Currency != currency:
		r.Reason = "the balance is in " + r.Currency + ", and the charges in " + currency
	default:
		margin := total.Sub(r.Spent)
		r.Margin = &margin
	}
	if !total.IsPositive() {
		r.Reason = "no more was charged than refunded"
		return
	}
	if r.Margin != nil {
		percent := r.Margin.Mul(decimal.NewFromInt(100)).DivRound(total, 2)
		r.Percent = &percent
	}
	r.drift(total)
}

// drift says of each row what the provider took beyond its part. Parts are rounded
// as they add up, so that the roundings do not.
func (r *Reconciliation) drift(total decimal.Decimal) {
	net, before := decimal.Zero, decimal.Zero
	for i := range r.Rows {
		row := &r.Rows[i]
		net = net.Add(*row.Net)
		explained := net.Mul(r.Spent).DivRound(total, r.digits())
		drift := row.Spent.Sub(explained.Sub(before))
		row.Drift, before = &drift, explained
		if !drift.IsZero() && (r.Largest == nil || drift.Abs().GreaterThan(r.Largest.Drift.Abs())) {
			r.Largest = row
		}
	}
}

// digits is to how many digits quotients are rounded.
func (r *Reconciliation) digits() int32 {
	return max(roundTo, -r.Spent.Exponent())
}
