package sqlrow

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/saldo-ledger/saldo/internal/forecast"
	"github.com/saldo-ledger/saldo/internal/provider"
	"github.com/saldo-ledger/saldo/internal/readings"
)

// bucket is a bucket as it stands in a column. Its members have names of their
// own, so that rows which are there outlive the names of Go's fields.
type bucket struct {
	Service        string      `json:"service"`
	Unit           string      `json:"unit"`
	Amount         string      `json:"amount"`
	Currency       string      `json:"currency,omitempty"`
	CurrencySource string      `json:"currency_source,omitempty"`
	CreditLimit    *string     `json:"credit_limit,omitempty"`
	Available      *string     `json:"available,omitempty"`
	Pending        *string     `json:"pending,omitempty"`
	Min            *string     `json:"min,omitempty"`
	Empty          *prediction `json:"empty,omitempty"`
	Low            *prediction `json:"low,omitempty"`
	Warned         bool        `json:"warned,omitempty"`
}

// prediction is a forecast in a bucket.
type prediction struct {
	Outlook       string    `json:"outlook"`
	Reason        string    `json:"reason,omitempty"`
	SpendPerHour  string    `json:"spend_per_hour"`
	RecentPerHour string    `json:"recent_per_hour"`
	Burst         bool      `json:"burst,omitempty"`
	At            time.Time `json:"at,omitzero"`
	Earliest      time.Time `json:"earliest,omitzero"`
	Latest        time.Time `json:"latest,omitzero"`
}

// EncodeBuckets is the column of an upstream's buckets, "" for none.
func EncodeBuckets(buckets []readings.Bucket) (string, error) {
	if len(buckets) == 0 {
		return "", nil
	}
	list := make([]bucket, len(buckets))
	for i := range buckets {
		b := &buckets[i]
		list[i] = bucket{
			Service: b.Service, Unit: string(b.Unit), Amount: DecimalText(b.Amount),
			Currency: b.Currency, CurrencySource: string(b.CurrencySource),
			CreditLimit: NullDecimal(b.CreditLimit), Available: NullDecimal(b.Available), Pending: NullDecimal(b.Pending),
			Min: NullDecimal(b.Min), Empty: newPrediction(b.Empty), Low: newPrediction(b.Low),
			Warned: b.Warned,
		}
	}
	text, err := json.Marshal(list)
	return string(text), err
}

// DecodeBuckets reads what EncodeBuckets wrote; nil for an empty column.
func DecodeBuckets(text string) ([]readings.Bucket, error) {
	if text == "" {
		return nil, nil
	}
	var list []bucket
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("buckets of an upstream: %w", err)
	}
	buckets := make([]readings.Bucket, len(list))
	for i := range list {
		if err := list[i].decode(&buckets[i]); err != nil {
			return nil, fmt.Errorf("bucket %s of an upstream: %w", list[i].Service, err)
		}
	}
	return buckets, nil
}

func (b *bucket) decode(into *readings.Bucket) error {
	into.Service, into.Unit = b.Service, provider.Unit(b.Unit)
	into.Currency, into.CurrencySource = b.Currency, provider.CurrencySource(b.CurrencySource)
	into.Warned = b.Warned
	var errs [7]error
	into.Amount, errs[0] = ParseDecimal(b.Amount)
	into.CreditLimit, errs[1] = ParseNullDecimal(b.CreditLimit)
	into.Available, errs[2] = ParseNullDecimal(b.Available)
	into.Pending, errs[3] = ParseNullDecimal(b.Pending)
	into.Min, errs[4] = ParseNullDecimal(b.Min)
	into.Empty, errs[5] = b.Empty.decode()
	into.Low, errs[6] = b.Low.decode()
	return errors.Join(errs[:]...)
}

func newPrediction(f *forecast.Forecast) *prediction {
	if f == nil {
		return nil
	}
	return &prediction{
		Outlook: string(f.Outlook), Reason: f.Reason,
		SpendPerHour: DecimalText(f.SpendPerHour), RecentPerHour: DecimalText(f.RecentPerHour), Burst: f.Burst,
		At: f.At.UTC(), Earliest: f.Earliest.UTC(), Latest: f.Latest.UTC(),
	}
}

func (p *prediction) decode() (*forecast.Forecast, error) {
	if p == nil {
		return nil, nil
	}
	spend, err := ParseDecimal(p.SpendPerHour)
	if err != nil {
		return nil, err
	}
	recent, err := ParseDecimal(p.RecentPerHour)
	if err != nil {
		return nil, err
	}
	return &forecast.Forecast{
		Outlook: forecast.Outlook(p.Outlook), Reason: p.Reason, SpendPerHour: spend, RecentPerHour: recent, Burst: p.Burst,
		At: p.At.UTC(), Earliest: p.Earliest.UTC(), Latest: p.Latest.UTC(),
	}, nil
}
