package storetest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// What the draws below are about: few accounts, keys and references, so that they meet often.
const (
	modelAccounts = 4
	modelKeys     = 40
)

// action is one call of the engine, and what the model says of it.
type action struct {
	call  func(ctx context.Context, e *engine.Engine) any
	check func(t *rapid.T, m *model, got any)
}

func drawAccount() *rapid.Generator[ledger.AccountID] {
	return rapid.Map(rapid.IntRange(1, modelAccounts), func(i int) ledger.AccountID { return ledger.AccountID(i) })
}

func drawWallet() *rapid.Generator[ledger.WalletRef] {
	return rapid.Custom(func(t *rapid.T) ledger.WalletRef {
		return ledger.WalletRef{
			Account: drawAccount().Draw(t, "account"),
			Service: rapid.SampledFrom([]ledger.Service{ledger.SMS, ledger.SMS, ledger.SMS, ledger.VoIP, "fax"}).Draw(t, "service"),
		}
	})
}

func drawAmount() *rapid.Generator[ledger.Amount] {
	return rapid.Custom(func(t *rapid.T) ledger.Amount {
		highest := int64(ledger.MaxAmount)
		return ledger.Amount(rapid.OneOf(
			rapid.Int64Range(1, 10), rapid.Int64Range(1, 10), rapid.Int64Range(1, 10), rapid.Int64Range(1, 100*ledger.Scale),
			rapid.Int64Range(highest-10, highest),
		).Draw(t, "amount"))
	})
}

// drawReference draws what most transactions have, and holds share.
func drawReference() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{"", "", "msg-1", "msg-2", "短信"})
}

func drawExpiry() *rapid.Generator[time.Duration] {
	return rapid.SampledFrom([]time.Duration{time.Second, 2 * time.Second, time.Minute, 24 * time.Hour, ledger.MaxExpiresIn})
}

var modelKinds = []ledger.Kind{
	ledger.TopUp, ledger.TopUp, ledger.TopUp, ledger.Charge, ledger.Charge, ledger.Adjustment, ledger.Transfer,
	ledger.PlaceHold, ledger.PlaceHold, ledger.PlaceHold, ledger.Capture, ledger.Capture, ledger.Release, ledger.Extend, ledger.Refund, ledger.Refund,
}

// drawRequest draws a request that is valid by itself, often about one of the earlier ones.
func drawRequest(t *rapid.T, earlier []ledger.Request) ledger.Request {
	r := ledger.Request{
		IdempotencyKey: fmt.Sprint("key-", rapid.IntRange(1, modelKeys).Draw(t, "key")),
		Kind:           rapid.SampledFrom(modelKinds).Draw(t, "kind"),
		Amount:         drawAmount().Draw(t, "amount"),
		Reference:      drawReference().Draw(t, "reference"),
		Key:            rapid.SampledFrom([]string{"", "", "", "capped-1", "capped-2", "none"}).Draw(t, "caller's key"),
	}
	if rapid.IntRange(0, 3).Draw(t, "with metadata") == 0 {
		r.Metadata = ledger.Metadata{"a": "b"}
	}
	switch r.Kind {
	case ledger.Capture, ledger.Release, ledger.Extend, ledger.Refund:
		drawParent(t, &r, earlier)
	default:
		r.Wallet = drawWallet().Draw(t, "wallet")
	}
	switch r.Kind {
	case ledger.Adjustment:
		if rapid.Bool().Draw(t, "negative") {
			r.Amount = -r.Amount
		}
	case ledger.Transfer:
		r.To = drawWallet().Filter(func(w ledger.WalletRef) bool { return w != r.Wallet }).Draw(t, "to")
	case ledger.PlaceHold:
		r.ExpiresIn = drawExpiry().Draw(t, "expires in")
	case ledger.Extend:
		r.Amount, r.ExpiresIn = 0, drawExpiry().Draw(t, "expires in")
	case ledger.Release:
		r.Amount = 0
	case ledger.Capture:
		r.Final = rapid.Bool().Draw(t, "final")
		if rapid.Bool().Draw(t, "all of it") {
			r.Amount = 0
		}
	default:
	}
	drawScope(t, &r)
	return r
}

// drawParent draws what a request is about: often what it can be about.
func drawParent(t *rapid.T, r *ledger.Request, earlier []ledger.Request) {
	kinds := []ledger.Kind{ledger.PlaceHold}
	if r.Kind == ledger.Refund {
		kinds = []ledger.Kind{ledger.Charge, ledger.Capture}
	}
	fitting := slices.DeleteFunc(slices.Clone(earlier), func(p ledger.Request) bool { return !slices.Contains(kinds, p.Kind) })
	switch choice := rapid.IntRange(0, 20).Draw(t, "about"); {
	case choice > 1 && len(fitting) > 0:
		p := rapid.SampledFrom(fitting).Draw(t, "parent")
		r.Parent = ledger.NewTransactionID(p.Scope, p.IdempotencyKey)
	case choice > 0 && len(earlier) > 0:
		p := rapid.SampledFrom(earlier).Draw(t, "parent of any kind")
		r.Parent = ledger.NewTransactionID(p.Scope, p.IdempotencyKey)
	default:
		r.Parent = ledger.TransactionID{1}
	}
	if rapid.IntRange(0, 5).Draw(t, "name the wallet") == 0 {
		r.Wallet = drawWallet().Draw(t, "wallet")
	} else if r.Parent == (ledger.TransactionID{1}) {
		r.Wallet = sms(1) // A request needs one to be valid.
	}
}

// drawScope makes some of what a customer may do the customer's own.
func drawScope(t *rapid.T, r *ledger.Request) {
	switch {
	case r.Kind == ledger.Refund || r.Kind == ledger.TopUp || r.Kind == ledger.Adjustment || r.Kind == ledger.Transfer && r.To.Account != r.Wallet.Account:
		return
	case rapid.IntRange(0, 3).Draw(t, "by the customer") > 0:
		return
	case r.Wallet.Account != 0:
		r.Scope = r.Wallet.Account // Its keys are others than the operator's of the same name.
	case !r.Parent.IsZero():
		r.Scope = drawAccount().Draw(t, "customer")
	}
}

func postAction(r ledger.Request) action {
	return action{
		call: func(ctx context.Context, e *engine.Engine) any {
			tx, replayed, err := e.Post(ctx, r)
			return posted{tx, replayed, err}
		},
		check: func(t *rapid.T, m *model, got any) { m.checkPost(t, r, got.(posted)) },
	}
}

type drawnBatch struct {
	requests []ledger.Request
	atomic   bool
}

func (b drawnBatch) action() action {
	return action{
		call: func(ctx context.Context, e *engine.Engine) any {
			results, err := e.PostBatch(ctx, slices.Clone(b.requests), b.atomic)
			return postedBatch{results, err}
		},
		check: func(t *rapid.T, m *model, got any) { m.checkBatch(t, b.requests, b.atomic, got.(postedBatch)) },
	}
}

// drawn is what was drawn so far, so that it can be repeated and referred to.
type drawn struct {
	requests []ledger.Request
	batches  []drawnBatch
}

func (d *drawn) request(t *rapid.T) ledger.Request {
	r := drawRequest(t, d.requests)
	d.requests = append(d.requests, r)
	return r
}

var modelActions = []string{
	"post", "post", "post", "post", "post", "post", "post", "batch", "batch", "repeat", "repeat", "repeat a batch", "create", "update", "settings", "caps",
}

func (d *drawn) action(t *rapid.T) action {
	switch rapid.SampledFrom(modelActions).Draw(t, "action") {
	case "repeat":
		if len(d.requests) > 0 {
			return postAction(rapid.SampledFrom(d.requests).Draw(t, "earlier request"))
		}
		fallthrough
	case "create":
		return createAction(t)
	case "repeat a batch":
		if len(d.batches) > 0 {
			b := rapid.SampledFrom(d.batches).Draw(t, "earlier batch")
			if rapid.IntRange(0, 3).Draw(t, "a part of it") == 0 {
				b.requests = b.requests[:rapid.IntRange(1, len(b.requests)).Draw(t, "size")]
			}
			return b.action()
		}
		fallthrough
	case "batch":
		var b drawnBatch
		for range rapid.IntRange(1, 6).Draw(t, "size") {
			b.requests = append(b.requests, d.request(t))
		}
		b.atomic = rapid.Bool().Draw(t, "atomic")
		d.batches = append(d.batches, b)
		return b.action()
	case "update":
		return updateAction(t)
	case "settings":
		return settingsAction(t)
	case "caps":
		return capsAction(t)
	}
	return postAction(d.request(t))
}

func createAction(t *rapid.T) action {
	a := ledger.Account{
		ID: drawAccount().Draw(t, "account"), Name: "Example Ltd", ExternalReference: rapid.SampledFrom([]string{"", "", "crm-1", "crm-2"}).Draw(t, "reference"),
		Currency: rapid.SampledFrom([]string{"CNY", "CNY", "VND"}).Draw(t, "currency"),
		TimeZone: rapid.SampledFrom([]string{"UTC", "Asia/Ho_Chi_Minh", "America/New_York"}).Draw(t, "zone"),
		ChargeOn: rapid.SampledFrom([][]ledger.DeliveryState{ledger.DefaultChargeOn, {ledger.Enroute}}).Draw(t, "charge on"),
	}
	return action{
		call: func(ctx context.Context, e *engine.Engine) any {
			_, err := e.CreateAccount(ctx, a)
			return err
		},
		check: func(t *rapid.T, m *model, got any) { checkCode(t, "CreateAccount", got, m.create(a)) },
	}
}

func updateAction(t *rapid.T) action {
	id := drawAccount().Draw(t, "account")
	status := rapid.SampledFrom([]ledger.Status{ledger.Active, ledger.Active, ledger.Active, ledger.Suspended, ledger.Closed}).Draw(t, "status")
	reference := rapid.SampledFrom([]string{"", "", "crm-1", "crm-2"}).Draw(t, "reference")
	return action{
		call: func(ctx context.Context, e *engine.Engine) any {
			_, err := e.UpdateAccount(ctx, id, engine.AccountChange{Status: &status, ExternalReference: &reference})
			return err
		},
		check: func(t *rapid.T, m *model, got any) {
			checkCode(t, "UpdateAccount", got, m.update(id, status, reference))
		},
	}
}

// drawBound draws a limit that is often none, and now and then one that matters.
func drawBound() *rapid.Generator[ledger.Amount] {
	return rapid.OneOf(rapid.Just[ledger.Amount](0), rapid.Just[ledger.Amount](0), rapid.Map(rapid.Int64Range(1, 40), func(n int64) ledger.Amount { return ledger.Amount(n) }))
}

func drawCaps() *rapid.Generator[ledger.Caps] {
	return rapid.Custom(func(t *rapid.T) ledger.Caps {
		return ledger.Caps{Daily: drawBound().Draw(t, "daily"), Monthly: drawBound().Draw(t, "monthly")}
	})
}

func settingsAction(t *rapid.T) action {
	wallet, add := drawWallet().Draw(t, "wallet"), rapid.Bool().Draw(t, "add")
	settings := ledger.Settings{
		CreditLimit: drawAmount().Draw(t, "limit") - 1, Suspended: rapid.IntRange(0, 5).Draw(t, "suspended") == 0,
		MinAmount: drawBound().Draw(t, "least") / 8, MaxAmount: drawBound().Draw(t, "most"), Caps: drawCaps().Draw(t, "caps"),
	}
	return action{
		call: func(ctx context.Context, e *engine.Engine) any {
			if add {
				_, _, err := e.PutWallet(ctx, wallet, settings)
				return err
			}
			_, err := e.UpdateWallet(ctx, wallet, engine.WalletChange{
				CreditLimit: &settings.CreditLimit, Suspended: &settings.Suspended, MinAmount: &settings.MinAmount, MaxAmount: &settings.MaxAmount,
				DailyCap: &settings.Caps.Daily, MonthlyCap: &settings.Caps.Monthly,
			})
			return err
		},
		check: func(t *rapid.T, m *model, got any) { checkCode(t, "settings", got, m.set(wallet, settings, add)) },
	}
}

func capsAction(t *rapid.T) action {
	id, caps := rapid.SampledFrom([]string{"capped-1", "capped-2", "none"}).Draw(t, "key"), drawCaps().Draw(t, "caps")
	return action{
		call: func(ctx context.Context, e *engine.Engine) any {
			_, err := e.SetKeyCaps(ctx, id, func(c *ledger.Caps) { *c = caps })
			return err
		},
		check: func(t *rapid.T, m *model, got any) { checkCode(t, "SetKeyCaps", got, m.setCaps(id, caps)) },
	}
}

// sweepAction expires what is due. It is for when nothing else waits.
func sweepAction() action {
	return action{
		call: func(ctx context.Context, e *engine.Engine) any {
			n, err := e.Sweep(ctx)
			return swept{n, err, func(id ledger.TransactionID) (*ledger.Transaction, error) { return e.Transaction(ctx, id) }}
		},
		check: func(t *rapid.T, m *model, got any) { m.checkSweep(t, got.(swept)) },
	}
}

// settleAction settles delivery reports. It is for when nothing else waits.
func settleAction(t *rapid.T) action {
	var reports []ledger.DeliveryReport
	for range rapid.IntRange(1, 4).Draw(t, "reports") {
		reports = append(reports, ledger.DeliveryReport{
			Reference: drawReference().Filter(func(r string) bool { return r != "" }).Draw(t, "reference"),
			Status:    rapid.SampledFrom(ledger.DeliveryStates).Draw(t, "state"),
			Account:   rapid.OneOf(rapid.Just(ledger.Operator), drawAccount()).Draw(t, "account"),
		})
	}
	return action{
		call: func(ctx context.Context, e *engine.Engine) any {
			results, err := e.Settle(ctx, ledger.Operator, reports)
			return settled{results, err, func(id ledger.TransactionID) (*ledger.Transaction, error) { return e.Transaction(ctx, id) }}
		},
		check: func(t *rapid.T, m *model, got any) { m.checkSettle(t, reports, got.(settled)) },
	}
}
