package sqlrow_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/forecast"
	"github.com/saldo-ledger/saldo/internal/provider"
	"github.com/saldo-ledger/saldo/internal/readings"
	"github.com/saldo-ledger/saldo/internal/store/sqlrow"
)

// stored is what stands in rows. A version that changes a member's name here
// loses what earlier ones have written.
const stored = `[{"service":"sms","unit":"money","amount":"-18.3830","currency":"VND","currency_source":"documentation",` +
	`"credit_limit":"100.00","available":"81.617","pending":"0","min":"-5",` +
	`"empty":{"outlook":"falling","spend_per_hour":"4.16667","recent_per_hour":"1E29","burst":true,` +
	`"at":"2026-01-02T03:04:05.678901Z","earliest":"2026-01-02T03:04:05Z","latest":"2026-01-03T00:00:00Z"},` +
	`"low":{"outlook":"unknown","reason":"there are no readings","spend_per_hour":"0","recent_per_hour":"0"},"warned":true},` +
	`{"service":"voip","unit":"credits","amount":"7"}]`

func buckets() []readings.Bucket {
	dec := func(text string) *decimal.Decimal {
		d := decimal.RequireFromString(text)
		return &d
	}
	hanoi := time.FixedZone("UTC+7", 7*3600)
	return []readings.Bucket{
		{
			Bucket: provider.Bucket{
				Service: "sms", Unit: provider.Money, Amount: *dec("-18.3830"), Currency: "VND", CurrencySource: provider.FromDocumentation,
				CreditLimit: dec("100.00"), Available: dec("81.617"), Pending: dec("0"),
			},
			Min: dec("-5"),
			Empty: &forecast.Forecast{
				Outlook: forecast.OutlookFalling, SpendPerHour: *dec("4.16667"), RecentPerHour: *dec("1E29"), Burst: true,
				At:       time.Date(2026, 1, 2, 10, 4, 5, 678901000, hanoi),
				Earliest: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Latest: time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC),
			},
			Low:    &forecast.Forecast{Outlook: forecast.OutlookUnknown, Reason: "there are no readings"},
			Warned: true,
		},
		{Bucket: provider.Bucket{Service: "voip", Unit: provider.Credits, Amount: *dec("7")}},
	}
}

func TestBuckets(t *testing.T) {
	text, err := sqlrow.EncodeBuckets(buckets())
	if diff := cmp.Diff(stored, text); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	// What a later version adds is passed over.
	got, err := sqlrow.DecodeBuckets(stored[:len(stored)-2] + `,"later":true}]`)
	exactly := cmp.Comparer(func(a, b decimal.Decimal) bool {
		return a.Exponent() == b.Exponent() && a.Coefficient().Cmp(b.Coefficient()) == 0
	})
	if diff := cmp.Diff(buckets(), got, exactly); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if zone := got[0].Empty.At.Location(); zone != time.UTC {
		t.Errorf("a time is in %s", zone)
	}
	if text, err := sqlrow.EncodeBuckets(nil); text != "" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if got, err := sqlrow.DecodeBuckets(""); got != nil || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

// What Java makes of a double has any count of digits, and all of them are kept.
func TestManyDigits(t *testing.T) {
	for _, want := range []string{
		"18.382999999999999118927007657475769519805908203125", "0.1000000000000000055511151231257827021181583404541015625",
		"-0." + strings.Repeat("0", 1073) + "5", strings.Repeat("9", 1100), "1E40",
	} {
		amount, err := provider.ParseAmount(want)
		if err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		text := sqlrow.DecimalText(amount)
		if read, err := sqlrow.ParseDecimal(text); text != want || err != nil || read.Exponent() != amount.Exponent() || !read.Equal(amount) {
			t.Errorf("%s is kept as %s and read as %s, %v", want, text, read, err)
		}
	}
}

// Rows that somebody changed past Saldo are errors, not amounts.
func TestDamagedBuckets(t *testing.T) {
	for _, text := range []string{
		"[", "{}", `[{"amount":7}]`, `[{"amount":"seven"}]`, `[{}]`, `[{"amount":"7","pending":""}]`, `[{"amount":"7","available":"x"}]`,
		`[{"amount":"7","credit_limit":"x"}]`, `[{"amount":"7","min":"x"}]`, `[{"amount":"7","low":{"spend_per_hour":"1","recent_per_hour":"x"}}]`,
		`[{"amount":"7","empty":{"spend_per_hour":"x","recent_per_hour":"1"}}]`, `[{"amount":"7","empty":{"at":"noon"}}]`,
	} {
		if got, err := sqlrow.DecodeBuckets(text); err == nil {
			t.Errorf("%s is %+v", text, got)
		}
	}
}
