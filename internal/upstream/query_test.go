package upstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/provider"
)

func dec(text string) *decimal.Decimal {
	d := decimal.RequireFromString(text)
	return &d
}

func bucket(service, amount, currency string) provider.Bucket {
	return provider.Bucket{Service: service, Amount: *dec(amount), Unit: provider.Money, Currency: currency}
}

func TestJudgement(t *testing.T) {
	all := func(text string) Amounts {
		m, err := ParseMinimum(text)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	each := func(pairs ...string) Amounts {
		m := Amounts{each: map[string]decimal.Decimal{}}
		for i := 0; i < len(pairs); i += 2 {
			m.each[pairs[i]] = *dec(pairs[i+1])
		}
		return m
	}
	sms, voip := bucket("sms", "10", "CNY"), bucket("voip", "0.5", "CNY")
	line := bucket("main", "-40", "USD")
	line.CreditLimit = dec("100")
	told := line
	told.Available = dec("55")
	tests := []struct {
		name     string
		balance  provider.Balance
		service  string
		least    Amounts
		below    bool
		sentence string
		buckets  int
	}{
		{name: "no minimum", balance: provider.Balance{Buckets: []provider.Bucket{bucket("sms", "-1", "")}}, buckets: 1},
		{name: "above", balance: provider.Balance{Buckets: []provider.Bucket{sms}}, least: all("9.999999999999999999"), buckets: 1},
		{name: "exactly", balance: provider.Balance{Buckets: []provider.Bucket{sms}}, least: all("10.0"), buckets: 1},
		{name: "below", balance: provider.Balance{Buckets: []provider.Bucket{sms}}, least: all("10.000000000000000001"), below: true, sentence: "a: sms 10 CNY is below 10.000000000000000001", buckets: 1},
		{name: "one of two", balance: provider.Balance{Buckets: []provider.Bucket{sms, voip}}, least: all("1"), below: true, sentence: "a: voip 0.5 CNY is below 1", buckets: 2},
		{name: "two of two", balance: provider.Balance{Buckets: []provider.Bucket{sms, voip}}, least: all("11"), below: true, sentence: "a: sms 10 CNY is below 11, voip 0.5 CNY is below 11", buckets: 2},
		{name: "another service", balance: provider.Balance{Buckets: []provider.Bucket{sms, voip}}, service: "sms", least: all("1"), buckets: 1},
		{name: "this service", balance: provider.Balance{Buckets: []provider.Bucket{sms, voip}}, service: "voip", least: all("1"), below: true, sentence: "a: voip 0.5 CNY is below 1", buckets: 1},
		{name: "no such service", balance: provider.Balance{Buckets: []provider.Bucket{sms}}, service: "voice", sentence: "a: malformed: the reply has no balance for voice"},
		{name: "no buckets", balance: provider.Balance{}, service: "sms", sentence: "a: malformed: the reply has no balance for sms"},
		{name: "each", balance: provider.Balance{Buckets: []provider.Bucket{sms, voip}}, least: each("sms", "10", "voip/CNY", "0.6"), below: true, sentence: "a: voip 0.5 CNY is below 0.6", buckets: 2},
		{name: "the narrower", balance: provider.Balance{Buckets: []provider.Bucket{sms}}, least: each("sms", "11", "sms/CNY", "9"), buckets: 1},
		{name: "a minimum for nothing", balance: provider.Balance{Buckets: []provider.Bucket{sms}}, least: each("sms", "5", "voip", "5"), sentence: "a: malformed: the reply has no balance for voip"},
		{name: "a minimum in another currency", balance: provider.Balance{Buckets: []provider.Bucket{sms}}, least: each("sms/USD", "5"), sentence: "a: malformed: the reply has no balance for sms/USD"},
		{name: "credit limit", balance: provider.Balance{Buckets: []provider.Bucket{line}}, least: all("60"), buckets: 1},
		{name: "credit limit used", balance: provider.Balance{Buckets: []provider.Bucket{line}}, least: all("60.01"), below: true, sentence: "a: main 60 USD is below 60.01", buckets: 1},
		{name: "available", balance: provider.Balance{Buckets: []provider.Bucket{told}}, least: all("56"), below: true, sentence: "a: main 55 USD is below 56", buckets: 1},
		{name: "postpaid", balance: provider.Balance{Billing: provider.BillingPostpaid, Buckets: []provider.Bucket{bucket("main", "0", "EUR")}}, least: all("100"), buckets: 1},
		{name: "unlimited", balance: provider.Balance{Billing: provider.BillingUnlimited}, least: each("sms", "100"), service: "sms"},
		{name: "prepaid", balance: provider.Balance{Billing: provider.BillingPrepaid, Buckets: []provider.Bucket{bucket("main", "0", "EUR")}}, least: all("100"), below: true, sentence: "a: main 0 EUR is below 100", buckets: 1},
		{name: "credits", balance: provider.Balance{Buckets: []provider.Bucket{{Service: "sms", Amount: *dec("69"), Unit: provider.Credits}}}, least: each("sms", "70"), below: true, sentence: "a: sms 69 credits is below 70", buckets: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := Answer{Name: "a", Status: provider.OK, Buckets: []Left{}}
			if err := a.fill(&tt.balance, tt.service, tt.least); err != nil {
				a.fail(err)
			}
			if a.BelowMin != tt.below || a.Sentence() != tt.sentence || len(a.Buckets) != tt.buckets {
				t.Errorf("below %v, %q, %d buckets", a.BelowMin, a.Sentence(), len(a.Buckets))
			}
		})
	}
}

// What the operator says of a credit line counts where the provider says nothing.
func TestCreditLimit(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `[{"service": "sms", "amount": -18.383, "currency": "CNY"}, {"service": "voip", "amount": 0, "currency": "CNY"},
			{"service": "told", "amount": -1, "credit_limit": 5}, {"service": "none", "amount": -1, "credit_limit": 0},
			{"service": "all-told", "amount": -1, "available": 3}]`)
	}))
	defer server.Close()
	for member, want := range map[string]string{
		"":                                 "sms -18.383, voip 0, told 4, none -1, all-told 3",
		"credit_limit: 0":                  "sms -18.383, voip 0, told 4, none -1, all-told 3",
		"credit_limit: 100":                "sms 81.617, voip 100, told 4, none -1, all-told 3",
		"credit_limit: {sms: 20, voip: 1}": "sms 1.617, voip 1, told 4, none -1, all-told 3",
		"credit_limit: {sms/CNY: 20, sms: 1, told: 9}": "sms 1.617, voip 0, told 4, none -1, all-told 3",
		"credit_limit: {sms/USD: 20}":                  "malformed: the reply has no balance for sms/USD",
		"credit_limit: {voice: 20}":                    "malformed: the reply has no balance for voice",
	} {
		text := "upstreams:\n- name: own\n  provider: http\n  http: {url: '" + server.URL + "/b', amount: '.[]'}\n  " + member + "\n"
		config, err := load(t, text, anything)
		if err != nil {
			t.Fatal(err)
		}
		answer := Query(t.Context(), config.Upstreams, "")[0]
		var left []string
		for i := range answer.Buckets {
			left = append(left, answer.Buckets[i].Service+" "+answer.Buckets[i].Spendable().String())
		}
		got := strings.Join(left, ", ")
		if answer.Failed() {
			got = answer.failure().Error()
		}
		if got != want {
			t.Errorf("%s: %s, not %s", member, got, want)
		}
	}
}

// A failure never comes with a balance, and never as one of zero.
func TestFailure(t *testing.T) {
	a := Answer{Name: "a", Provider: "esms", Status: provider.OK, Account: "9999", Billing: "prepaid", Buckets: []Left{{Service: "main"}}, BelowMin: true}
	failure := provider.Errorf(provider.RateLimited, "too many questions")
	failure.Code, failure.RetryAfter = "160", 9*time.Second
	a.fail(failure)
	if !a.Failed() || a.Refused() || a.BelowMin || a.Advice() != "try again in 9s" ||
		a.Sentence() != "a: rate_limited: too many questions (the provider's code 160)" {
		t.Errorf("%+v", a)
	}
	text, err := json.Marshal(a)
	want := `{"name":"a","provider":"esms","status":"rate_limited","code":"160","message":"too many questions","account":"","billing":"unknown",` +
		`"buckets":[],"below_min":false,"checked_at":"0001-01-01T00:00:00.000000Z","took_ms":0}`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
	a.fail(errors.New("whatever"))
	if a.Status != provider.ProviderError || a.Message != "whatever" {
		t.Errorf("%+v", a)
	}
	for _, status := range []provider.Status{
		provider.OK, provider.Unauthorized, provider.IPDenied, provider.Suspended, provider.RateLimited,
		provider.InvalidRequest, provider.ProviderError, provider.Malformed, provider.Unreachable,
	} {
		a := Answer{Status: status}
		refused := status == provider.Unauthorized || status == provider.IPDenied || status == provider.Suspended
		if a.Refused() != refused || a.Failed() != (status != provider.OK) || refused && a.Advice() == "" {
			t.Errorf("%s: refused %v, failed %v, %s", status, a.Refused(), a.Failed(), a.Advice())
		}
	}
}

// What a provider does not tell is null, and every amount is a text.
func TestAnswerJSON(t *testing.T) {
	a := Answer{
		Name: "a", Provider: "telnyx", Status: provider.OK, Account: "7", Billing: "prepaid", BelowMin: true,
		CheckedAt: Time(time.Date(2026, 11, 22, 9, 0, 0, 1_500_000, time.FixedZone("", 3600))), Took: Milliseconds(1500 * time.Microsecond),
		Buckets: []Left{
			{Service: "main", Amount: *dec("300.00"), Unit: provider.Money, Currency: "USD", CurrencySource: provider.FromReply, CreditLimit: dec("0"), Available: dec("0.1"), Pending: dec("-1E+3"), Min: dec("500"), BelowMin: true},
			{Service: "sms", Amount: *dec("12345678901234567890.000000001"), Unit: provider.Credits},
		},
	}
	want := `{"name":"a","provider":"telnyx","status":"ok","code":"","message":"","account":"7","billing":"prepaid","buckets":[` +
		`{"service":"main","amount":"300","unit":"money","currency":"USD","currency_source":"reply","credit_limit":"0","available":"0.1","pending":"-1000","min":"500","below_min":true},` +
		`{"service":"sms","amount":"12345678901234567890.000000001","unit":"credits","currency":"","currency_source":"","credit_limit":null,"available":null,"pending":null,"min":null,"below_min":false}` +
		`],"below_min":true,"checked_at":"2026-11-22T08:00:00.001500Z","took_ms":1}`
	if text, err := json.Marshal(a); err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
}
