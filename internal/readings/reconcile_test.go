package readings_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/saldo-ledger/saldo/internal/provider"
	"github.com/saldo-ledger/saldo/internal/readings"
)

var sms = readings.Key{Service: "sms", Unit: provider.Money, Currency: "CNY"}

func amount(text string) decimal.Decimal { return decimal.RequireFromString(text) }

// minute is a time of the tests.
func minute(n int) time.Time { return monday.Add(time.Duration(n) * time.Minute) }

// point is a reading in a test: what was left in which minute.
type point struct {
	minute int
	amount decimal.Decimal
}

func fallsOf(cuts []int, points []point) []readings.BucketFalls {
	times := make([]time.Time, len(cuts))
	for i, cut := range cuts {
		times[i] = minute(cut)
	}
	falls := readings.NewFalls(times)
	for _, p := range points {
		falls.Add(&readings.Reading{Upstream: "u", Key: sms, At: minute(p.minute), Amount: p.amount})
	}
	return falls.Buckets()
}

// modelCuts moves each cut by looking at all readings, gives the places of the
// readings that it moves to, and leaves out a cut that moves to where the one before it is.
func modelCuts(cuts []int, points []point) []int {
	var moved []int
	for _, cut := range cuts {
		to := -1
		for i, p := range points {
			if p.minute <= cut {
				to = i
			}
		}
		if to < 0 {
			to = 0
		}
		if len(moved) == 0 || moved[len(moved)-1] != to {
			moved = append(moved, to)
		}
	}
	return moved
}

func anyCuts(t *rapid.T) []int {
	cuts := rapid.SliceOfNDistinct(rapid.IntRange(0, 60), 2, 8, rapid.ID[int]).Draw(t, "cuts")
	slices.Sort(cuts)
	return cuts
}

func anyPoints(t *rapid.T) []point {
	minutes := rapid.SliceOfNDistinct(rapid.IntRange(-20, 80), 0, 30, rapid.ID[int]).Draw(t, "minutes")
	slices.Sort(minutes)
	points := make([]point, len(minutes))
	for i, at := range minutes {
		points[i] = point{at, decimal.New(rapid.Int64Range(-500, 500).Draw(t, "amount"), rapid.Int32Range(-9, 2).Draw(t, "exponent"))}
	}
	return points
}

func TestFallsAreThoseOfAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cuts, points := anyCuts(t), anyPoints(t)
		buckets := fallsOf(cuts, points)
		if first := slices.IndexFunc(points, func(p point) bool { return p.minute >= cuts[0] && p.minute <= cuts[len(cuts)-1] }); first < 0 {
			if len(buckets) != 0 {
				t.Fatalf("there is no reading in the range, and still %+v", buckets)
			}
			return
		}
		moved := modelCuts(cuts, points)
		got := buckets[0]
		if len(got.Intervals) != len(moved)-1 {
			t.Fatalf("%d intervals, where cuts move to %v", len(got.Intervals), moved)
		}
		wantFall(t, got.Fall, points[moved[0]:moved[len(moved)-1]+1])
		for i, interval := range got.Intervals {
			wantFall(t, interval, points[moved[i]:moved[i+1]+1])
		}
	})
}

// wantFall adds up the changes between points, and compares.
func wantFall(t *rapid.T, got readings.Fall, points []point) {
	up, down := decimal.Zero, decimal.Zero
	for i := 1; i < len(points); i++ {
		if change := points[i].amount.Sub(points[i-1].amount); change.IsNegative() {
			down = down.Sub(change)
		} else {
			up = up.Add(change)
		}
	}
	first, last := points[0], points[len(points)-1]
	switch {
	case !got.Opening.At.Equal(minute(first.minute)) || !got.Closing.At.Equal(minute(last.minute)),
		!got.Opening.Amount.Equal(first.amount) || !got.Closing.Amount.Equal(last.amount):
		t.Fatalf("from %+v to %+v, want %+v to %+v", got.Opening, got.Closing, first, last)
	case !got.ToppedUp.Equal(up) || !got.Spent.Equal(down):
		t.Fatalf("topped up %s and spent %s, want %s and %s", got.ToppedUp, got.Spent, up, down)
	case !got.Opening.Amount.Add(got.ToppedUp).Sub(got.Spent).Equal(got.Closing.Amount):
		t.Fatalf("%+v does not add up", got)
	}
}

// Whatever was charged, drifts add up to zero, the margin and what the provider
// took to what was charged, and nothing is lost between rows and sums.
func TestReconciliationAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		buckets := fallsOf(anyCuts(t), anyPoints(t))
		if len(buckets) == 0 {
			return
		}
		charges, total, count := make([][]readings.Charge, len(buckets[0].Intervals)), decimal.Zero, int64(0)
		for i := range charges {
			for _, service := range []string{"sms", "voip"}[:rapid.IntRange(0, 2).Draw(t, "services")] {
				charge := readings.Charge{
					Service: service, Currency: "CNY", Count: rapid.Int64Range(0, 9).Draw(t, "count"),
					Charged: decimal.New(rapid.Int64Range(0, 1e12).Draw(t, "charged"), -6), Refunded: decimal.New(rapid.Int64Range(0, 1e11).Draw(t, "refunded"), -6),
				}
				charges[i] = append(charges[i], charge)
				total, count = total.Add(charge.Net()), count+charge.Count
			}
		}
		r := readings.Reconcile(&buckets[0], charges)
		if (r.Margin == nil) != (len(r.Charges) == 0) || r.Margin != nil && !r.Margin.Add(r.Spent).Equal(total) {
			t.Fatalf("margin %v, charged %s, spent %s", r.Margin, total, r.Spent)
		}
		if told := r.Margin != nil && r.Percent != nil; told == (r.Reason != "") {
			t.Fatalf("margin %v, %v per cent, and the reason %q", r.Margin, r.Percent, r.Reason)
		}
		drift, spent, largest := decimal.Zero, decimal.Zero, decimal.Zero
		if r.Largest != nil {
			largest = r.Largest.Drift.Abs()
		}
		for _, row := range r.Rows {
			spent, count = spent.Add(row.Spent), count-row.Count
			if (row.Drift != nil) != total.IsPositive() || (row.PerCharge != nil) != (row.Count > 0) {
				t.Fatalf("row %+v of %s", row, total)
			}
			if row.Drift != nil {
				drift = drift.Add(*row.Drift)
				exact := row.Spent.Sub(row.Net.Mul(r.Spent).DivRound(total, 30))
				if row.Drift.Sub(exact).Abs().GreaterThan(amount("0.000001")) || row.Drift.Abs().GreaterThan(largest) {
					t.Fatalf("a drift of %s, want %s and at most %s", row.Drift, exact, largest)
				}
			}
		}
		if !drift.IsZero() || !spent.Equal(r.Spent) || count != 0 {
			t.Fatalf("the rows drift by %s, spend %s of %s, and miss %d charges", drift, spent, r.Spent, count)
		}
	})
}

func TestReconcile(t *testing.T) {
	// The provider takes half of what is charged, but for one message in the second
	// interval that nobody charged, and is topped up by 100.
	bucket := fallsOf([]int{0, 10, 20, 30}, []point{
		{0, amount("10")}, {10, amount("8")}, {15, amount("105")}, {20, amount("103.5")}, {30, amount("102.5")},
	})[0]
	charge := func(service, currency string, count int64, charged, refunded string) readings.Charge {
		return readings.Charge{Service: service, Currency: currency, Count: count, Charged: amount(charged), Refunded: amount(refunded)}
	}
	charges := [][]readings.Charge{{charge("sms", "CNY", 4, "4", "0")}, {charge("sms", "CNY", 2, "3", "1"), charge("rcs", "CNY", 1, "1", "0")}, {}}
	r := readings.Reconcile(&bucket, charges)
	if r.ToppedUp.String() != "97" || r.Spent.String() != "4.5" || r.Margin.String() != "2.5" || r.Percent.StringFixed(2) != "35.71" || r.Reason != "" {
		t.Errorf("got %+v", r)
	}
	if len(r.Charges) != 2 || r.Charges[0].Service != "rcs" || r.Charges[1].Count != 6 || r.Charges[1].Net().String() != "6" {
		t.Errorf("charges %+v", r.Charges)
	}
	var drifts []string
	for _, row := range r.Rows {
		drifts = append(drifts, row.Drift.String())
	}
	// At 4.5/7 for each unit that was charged: 2 - 2.571429, 1.5 - 1.928571, 1 - 0.
	if got := strings.Join(drifts, " "); got != "-0.571429 -0.428571 1" || r.Largest != &r.Rows[2] || r.Rows[0].PerCharge.String() != "0.5" || r.Rows[2].PerCharge != nil {
		t.Errorf("drifts %s, the largest %+v, rows %+v", got, r.Largest, r.Rows)
	}
	for _, test := range []struct {
		key     readings.Key
		charges []readings.Charge
		reason  string
		drifts  bool
	}{
		{sms, nil, "nothing was charged", false},
		{sms, []readings.Charge{charge("sms", "CNY", 1, "1", "0"), charge("sms", "VND", 1, "1", "0")}, "several currencies", false},
		{sms, []readings.Charge{charge("sms", "CNY", 1, "1", "1")}, "no more was charged than refunded", false},
		{sms, []readings.Charge{charge("sms", "VND", 1, "900", "0")}, "in CNY, and the charges in VND", true},
		{readings.Key{Service: "sms", Unit: provider.Credits}, []readings.Charge{charge("sms", "CNY", 1, "1", "0")}, "in credits", true},
		{readings.Key{Service: "sms", Unit: provider.Money}, []readings.Charge{charge("sms", "CNY", 1, "1", "0")}, "not known", true},
	} {
		other := bucket
		other.Key = test.key
		r := readings.Reconcile(&other, [][]readings.Charge{test.charges, nil, nil})
		if !strings.Contains(r.Reason, test.reason) || r.Percent != nil || (r.Rows[0].Drift != nil) != test.drifts {
			t.Errorf("%+v: %+v", test, r)
		}
	}
}

// One reading tells nothing of what was charged, not even that there was nothing.
func TestReconcileOneReading(t *testing.T) {
	bucket := fallsOf([]int{0, 10}, []point{{5, amount("10")}})[0]
	r := readings.Reconcile(&bucket, nil)
	if !strings.Contains(r.Reason, "read only once") || r.Margin != nil || len(r.Rows) != 0 || !r.Opening.At.Equal(r.Closing.At) {
		t.Errorf("%+v", r)
	}
}

func TestServicesArePaidFromOneBucket(t *testing.T) {
	named := func(services ...string) []readings.BucketFalls {
		var buckets []readings.BucketFalls
		for _, service := range services {
			name, once := strings.CutSuffix(service, " once")
			bucket := readings.BucketFalls{Key: readings.Key{Service: name}}
			if !once {
				bucket.Intervals = make([]readings.Fall, 1)
			}
			buckets = append(buckets, bucket)
		}
		return buckets
	}
	for _, test := range []struct {
		buckets []readings.BucketFalls
		service string
		want    int // -1 for none
	}{
		{named("voip"), "sms", 0},
		{named("sms", "voip"), "voip", 1},
		{named("sms", "voip"), "rcs", -1},
		{named("main", "sms"), "sms", 1},
		{named("main", "sms"), "rcs", 0},
		{named("main", "sms", "sms"), "sms", -1},
		{named("main", "main"), "sms", -1},
		{nil, "sms", -1},
		{named("sms once"), "sms", -1},
		{named("main", "sms once"), "sms", -1}, // it is paid from there all the same, and not from the other
		{named("main once", "sms"), "sms", 1},
		{named("main once", "sms"), "rcs", -1},
	} {
		if got, ok := readings.PaidFrom(test.buckets, test.service); ok != (test.want >= 0) || ok && got != test.want {
			t.Errorf("%s of %+v: %d, %t", test.service, test.buckets, got, ok)
		}
	}
}
