package upstream

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/provider"
)

// atOnce bounds how many upstreams are asked at one time.
const atOnce = 32

// timeLayout is the API's: UTC, in microseconds.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// Answer is what came of asking one upstream.
type Answer struct {
	Name     string          `json:"name"`
	Provider string          `json:"provider"`
	Status   provider.Status `json:"status"`
	Code     string          `json:"code"`    // the provider's own, of a failure
	Message  string          `json:"message"` // of a failure, in plain words
	Account  string          `json:"account"`
	Billing  Billing         `json:"billing"`
	Buckets  []Left          `json:"buckets"`
	// BelowMin tells that something is below its minimum.
	BelowMin  bool         `json:"below_min"`
	CheckedAt Time         `json:"checked_at"`
	Took      Milliseconds `json:"took_ms"`
	// RetryAfter is how long the provider wants to be left alone, 0 where it did not say.
	RetryAfter time.Duration `json:"-"`
}

// Left is what is left of one bucket. What the provider does not tell is null.
type Left struct {
	Service        string                  `json:"service"`
	Amount         decimal.Decimal         `json:"amount"`
	Unit           provider.Unit           `json:"unit"`
	Currency       string                  `json:"currency"`
	CurrencySource provider.CurrencySource `json:"currency_source"`
	CreditLimit    *decimal.Decimal        `json:"credit_limit"`
	Available      *decimal.Decimal        `json:"available"`
	Pending        *decimal.Decimal        `json:"pending"`
	Min            *decimal.Decimal        `json:"min"`
	BelowMin       bool                    `json:"below_min"`
}

// Billing is a provider.Billing that says "unknown" in JSON.
type Billing provider.Billing

// RunsOut tells whether amounts mean anything, as that of provider.Billing does.
func (b Billing) RunsOut() bool { return provider.Billing(b).RunsOut() }

// MarshalText gives the word.
func (b Billing) MarshalText() ([]byte, error) {
	if b == Billing(provider.BillingUnknown) {
		return []byte("unknown"), nil
	}
	return []byte(b), nil
}

// Time is a time in the layout of the API.
type Time time.Time

// MarshalText gives it in UTC.
func (t Time) MarshalText() ([]byte, error) {
	return []byte(time.Time(t).UTC().Format(timeLayout)), nil
}

// Milliseconds is a duration, in whole milliseconds in JSON.
type Milliseconds time.Duration

// MarshalJSON gives the number.
func (m Milliseconds) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(m).Milliseconds())
}

// Query asks all upstreams at the same time, each with its own time limit, and
// gives the answers in the same order. With a service, it is the only one that
// counts. Nothing that goes wrong with one upstream concerns another.
func Query(ctx context.Context, upstreams []*Upstream, service string) []Answer {
	answers := make([]Answer, len(upstreams))
	places := make(chan struct{}, atOnce)
	var group sync.WaitGroup
	for i, u := range upstreams {
		group.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			answers[i] = u.query(ctx, service)
		})
	}
	group.Wait()
	return answers
}

// query asks one upstream, and judges what is left.
func (u *Upstream) query(ctx context.Context, service string) Answer {
	started := time.Now()
	balance, err := u.ask(ctx)
	done := time.Now()
	answer := Answer{
		Name: u.Name, Provider: u.Provider.Name, Status: provider.OK, Buckets: []Left{},
		CheckedAt: Time(done), Took: Milliseconds(done.Sub(started)),
	}
	if err == nil {
		err = answer.fill(balance, service, u.Min)
	}
	if err != nil {
		answer.fail(err)
	}
	return answer
}

func (u *Upstream) ask(ctx context.Context) (*provider.Balance, error) {
	client, err := u.Connect()
	if err != nil {
		return nil, provider.Errorf(provider.InvalidRequest, "%v", err)
	}
	defer client.Close()
	return client.Balance(ctx)
}

// fill takes a balance over. It fails where what should be judged is not there.
func (a *Answer) fill(balance *provider.Balance, service string, least Amounts) error {
	a.Account, a.Billing = balance.Account, Billing(balance.Billing)
	for i := range balance.Buckets {
		if b := &balance.Buckets[i]; service == "" || b.Service == service {
			left := judge(b, least, balance.Billing.RunsOut())
			a.BelowMin = a.BelowMin || left.BelowMin
			a.Buckets = append(a.Buckets, left)
		}
	}
	if service != "" && len(a.Buckets) == 0 && balance.Billing.RunsOut() {
		return errAbsent(service)
	}
	return least.check(balance)
}

// judge holds a bucket against its minimum, where the amount means anything.
func judge(b *provider.Bucket, least Amounts, runsOut bool) Left {
	left := Left{
		Service: b.Service, Amount: b.Amount, Unit: b.Unit, Currency: b.Currency, CurrencySource: b.CurrencySource,
		CreditLimit: b.CreditLimit, Available: b.Available, Pending: b.Pending,
	}
	if runsOut {
		left.Min = least.For(b)
	}
	left.BelowMin = left.Min != nil && b.Spendable().LessThan(*left.Min)
	return left
}

// fail makes it an answer without a balance.
func (a *Answer) fail(err error) {
	failure := provider.ErrorOf(err)
	a.Status, a.Code, a.Message, a.RetryAfter = failure.Status, failure.Code, failure.Message, failure.RetryAfter
	a.Account, a.Billing, a.Buckets, a.BelowMin = "", "", []Left{}, false
}

// failure is what fail took over.
func (a *Answer) failure() *provider.Error {
	return &provider.Error{Status: a.Status, Code: a.Code, Message: a.Message, RetryAfter: a.RetryAfter}
}

// Failed tells that there is no balance.
func (a *Answer) Failed() bool { return a.Status != provider.OK }

// Refused tells that the provider refuses until somebody does something about
// it. Any other failure may pass.
func (a *Answer) Refused() bool {
	return a.Status == provider.Unauthorized || a.Status == provider.IPDenied || a.Status == provider.Suspended
}

// Advice is what to do about a failure, "" where only the provider knows.
func (a *Answer) Advice() string { return a.failure().Advice() }

// Sentence says in one line what is the matter, "" where nothing is.
func (a *Answer) Sentence() string {
	switch {
	case a.Failed():
		return a.Name + ": " + a.failure().Error()
	case a.BelowMin:
		var parts []string
		for i := range a.Buckets {
			if b := &a.Buckets[i]; b.BelowMin {
				parts = append(parts, fmt.Sprintf("%s %s is below %s", b.Service, b.Text(), b.Min))
			}
		}
		return a.Name + ": " + strings.Join(parts, ", ")
	default:
		return ""
	}
}

// bucket is what a Left was made of.
func (l *Left) bucket() *provider.Bucket {
	return &provider.Bucket{Amount: l.Amount, Unit: l.Unit, Currency: l.Currency, CreditLimit: l.CreditLimit, Available: l.Available}
}

// Spendable is what a minimum is compared with.
func (l *Left) Spendable() decimal.Decimal { return l.bucket().Spendable() }

// Text is what can be spent, with its currency.
func (l *Left) Text() string { return l.bucket().Text() }

// Word is what the amount counts: a currency, or credits.
func (l *Left) Word() string { return l.bucket().Word() }
