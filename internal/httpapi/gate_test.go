package httpapi_test

import (
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/httpapi"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

func basic(text string) option {
	return header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(text)))
}

func TestFormsOfCredentials(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.keyFor(ledger.Key{Account: 1, Scopes: []ledger.Scope{ledger.ScopeBalanceRead}}, ledger.Credentials{ID: "Imported", Secret: "s:e:cret"})
	longest := ledger.Credentials{ID: "LONG", Secret: strings.Repeat("x", ledger.MaxAuthSecret-4)}
	h.keyFor(ledger.Key{Account: 1, Scopes: []ledger.Scope{ledger.ScopeBalanceRead}}, longest)
	for _, tt := range []struct {
		name string
		with option
		want int
	}{
		{"bearer", header("Authorization", "Bearer Importeds:e:cret"), 200},
		{"bearer in small letters", header("Authorization", "bearer Importeds:e:cret"), 200},
		{"bearer in capitals", header("Authorization", "BEARER Importeds:e:cret"), 200},
		{"bearer with more spaces", header("Authorization", "Bearer   Importeds:e:cret "), 200},
		{"basic", basic("Imported:s:e:cret"), 200},
		{"basic in small letters", header("Authorization", "basic "+base64.StdEncoding.EncodeToString([]byte("Imported:s:e:cret"))), 200},
		{"basic, all in the password", basic(":Importeds:e:cret"), 200},
		{"the longest", as(longest), 200},
		{"one longer", header("Authorization", "Bearer "+longest.AuthSecret()+"x"), 401},
		// A pair is one of the key's own parts, or an id would say nothing in a log.
		{"split at another place", basic("Importeds:e:cret"), 401},
		{"split before the end", basic("Import:eds:e:cret"), 401},
		{"all in the user", basic("Importeds:e:cret:"), 401},
		{"another case", header("Authorization", "Bearer IMPORTEDs:e:cret"), 401},
		{"no header", header("Authorization"), 401},
		{"an empty header", header("Authorization", ""), 401},
		{"a scheme alone", header("Authorization", "Bearer"), 401},
		{"a scheme and a space", header("Authorization", "Bearer "), 401},
		{"a token alone", header("Authorization", "Importeds:e:cret"), 401},
		{"another scheme", header("Authorization", "Digest Importeds:e:cret"), 401},
		{"a tab", header("Authorization", "Bearer\tImporteds:e:cret"), 401},
		{"basic that is not base64", header("Authorization", "Basic Imported:s:e:cret"), 401},
		{"basic without a colon", basic("Importeds"), 401},
		{"only the first line counts", header("Authorization", "Bearer wrong", "Bearer Importeds:e:cret"), 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rec := h.do("GET", "/v1/balance", "", tt.with)
			if wantStatus(t, rec, tt.want); tt.want != 401 {
				return
			}
			wantProblem(t, rec, ledger.Unauthorized)
			if got := rec.Header().Get("WWW-Authenticate"); got != `Bearer realm="saldo"` {
				t.Errorf("WWW-Authenticate is %q", got)
			}
		})
	}
	// A key in the query would end up in every log on the way.
	wantStatus(t, h.do("GET", "/v1/balance?access_token=Importeds:e:cret&authSecret=Importeds:e:cret", ""), 401)
}

// Nobody may learn which ids exist, which secret is nearly right, or that a key
// was good once: not from the body and not from a header.
func TestUnauthorizedIsAlwaysTheSame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, httpapi.GateOptions{RateLimit: 100})
		good, revoked := h.customer(1, ledger.ScopeBalanceRead), h.customer(1, ledger.ScopeBalanceRead)
		expiring := h.key(ledger.Key{Account: 1, Scopes: []ledger.Scope{ledger.ScopeBalanceRead}, ExpiresAt: time.Now().Add(time.Hour)})
		wantStatus(t, h.do("GET", "/v1/balance", "", as(revoked)), 200)
		if err := h.engine.RevokeKey(t.Context(), revoked.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour - time.Microsecond)
		wantStatus(t, h.do("GET", "/v1/balance", "", as(expiring)), 200)
		time.Sleep(time.Microsecond)
		var want string
		for name, c := range map[string]ledger.Credentials{
			"unknown":            {ID: "NOBODY", Secret: "nothing"},
			"wrong secret":       {ID: good.ID, Secret: good.Secret[1:] + "A"},
			"another's secret":   {ID: good.ID, Secret: revoked.Secret},
			"revoked":            revoked,
			"expired":            expiring,
			"the secret cut off": {ID: good.ID, Secret: good.Secret[:39]},
		} {
			for form, with := range map[string]option{"bearer": as(c), "basic": basic(c.ID + ":" + c.Secret)} {
				rec := h.do("GET", "/v1/balance", "", with)
				wantProblem(t, rec, ledger.Unauthorized)
				got := fmt.Sprint(rec.Body, rec.Header())
				if want == "" {
					want = got
				}
				if got != want {
					t.Errorf("%s, %s: %s, another was told %s", name, form, got, want)
				}
			}
		}
	})
}

func TestAllowList(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{TrustedProxies: networks(t, "10.0.0.0/8")})
	limited := h.key(ledger.Key{
		Account: 1, Scopes: []ledger.Scope{ledger.ScopeBalanceRead},
		AllowList: networks(t, "203.0.113.0/24", "2001:db8::/32", "fe80::7", "::ffff:198.51.100.7"),
	})
	for _, tt := range []struct {
		peer, forwarded string
		want            int
	}{
		{"203.0.113.9:1", "", 200},
		{"[::ffff:203.0.113.9]:1", "", 200},
		{"[2001:db8:1::1]:1", "", 200},
		{"[fe80::7%eth0]:1", "", 200},
		{"198.51.100.7:1", "", 200},
		{"[::ffff:198.51.100.7]:1", "", 200},
		{"10.0.0.1:1", "203.0.113.9", 200},
		{"10.0.0.1:1", "::ffff:203.0.113.9", 200},
		{"203.0.114.9:1", "", 403},
		{"[::ffff:203.0.114.9]:1", "", 403},
		{"[2001:db9::1]:1", "", 403},
		{"[fe80::8%eth0]:1", "", 403},
		{"10.0.0.1:1", "", 403},
		{"10.0.0.1:1", "203.0.113.9, 203.0.114.9", 403},
		{"203.0.114.9:1", "203.0.113.9", 403},
		{"@", "", 403},
	} {
		options := []option{as(limited), from(tt.peer)}
		if tt.forwarded != "" {
			options = append(options, header("X-Forwarded-For", tt.forwarded))
		}
		rec := h.do("GET", "/v1/balance", "", options...)
		if wantStatus(t, rec, tt.want); tt.want != 200 {
			if problem := wantProblem(t, rec, ledger.IPDenied); strings.Contains(problem.Detail, tt.peer) {
				t.Errorf("the problem tells the address that Saldo sees: %s", problem.Detail)
			}
		}
	}
	// The dialects have codes of their own for it, but are as strict.
	outside := h.do("POST", antgstPath, antgstBody(limited), from("203.0.114.9:1"))
	inside := h.do("POST", antgstPath, antgstBody(limited), from("203.0.113.9:1"))
	if outside.Code == 200 || inside.Code != 200 {
		t.Errorf("the dialect answers %d and %d", outside.Code, inside.Code)
	}
}

const antgstPath = "/user/account/balance"

func antgstBody(c ledger.Credentials) string { return fmt.Sprintf(`{"authSecret":%q}`, c.AuthSecret()) }

func TestFailureLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, httpapi.GateOptions{FailureLimit: 2, FailureBurst: 3})
		good, wrong := h.customer(1, ledger.ScopeBalanceRead), ledger.Credentials{ID: "NOBODY", Secret: "nothing"}
		try := func(c ledger.Credentials, peer string) *httptest.ResponseRecorder {
			return h.do("GET", "/v1/balance", "", as(c), from(peer))
		}
		for range 20 {
			wantStatus(t, try(good, "203.0.113.7:1"), 200)
		}
		// Neither do requests that show no credentials, which learn nothing.
		for range 20 {
			wantStatus(t, h.do("GET", "/v1/balance", "", from("203.0.113.7:1")), 401)
		}
		wantStatus(t, try(wrong, "203.0.113.7:1"), 401)
		wantStatus(t, try(wrong, "[::ffff:203.0.113.7]:2"), 401)
		// All doors count together.
		if rec := h.do("POST", antgstPath, antgstBody(wrong), from("203.0.113.7:3")); rec.Code == 200 {
			t.Errorf("the dialect answers %d", rec.Code)
		}
		// Even the right key is refused now: a guess that comes true must not show.
		for _, c := range []ledger.Credentials{wrong, good} {
			rec := try(c, "203.0.113.7:1")
			problem := wantProblem(t, rec, ledger.RateLimited)
			if problem.Detail != "too many failed authentications from this address" || rec.Header().Get("Retry-After") != "1" {
				t.Errorf("%+v with Retry-After %q", problem, rec.Header().Get("Retry-After"))
			}
		}
		wantStatus(t, try(good, "203.0.113.8:1"), 200)
		time.Sleep(time.Second / 2)
		wantStatus(t, try(good, "203.0.113.7:1"), 200)
		wantStatus(t, try(wrong, "203.0.113.7:1"), 401)
		wantStatus(t, try(good, "203.0.113.7:1"), 429)

		// One customer has a whole /64 of IPv6, so it counts as one address.
		for i := range 3 {
			wantStatus(t, try(wrong, fmt.Sprintf("[2001:db8:0:1::%d]:1", i)), 401)
		}
		wantStatus(t, try(good, "[2001:db8:0:1:ffff::1]:1"), 429)
		wantStatus(t, try(good, "[2001:db8:0:2::1]:1"), 200)
		text := h.do("GET", "/metrics", "").Body.String()
		for _, want := range []string{
			`saldo_authentication_failures_total{reason="unauthorized"} 7`,
			`saldo_authentication_failures_total{reason="limited"} 4`,
		} {
			if !strings.Contains(text, want+"\n") {
				t.Errorf("the metrics lack %s:\n%s", want, grep(text, "authentication_failures"))
			}
		}
	})
}

// The refusal comes before the look-up: with the store closed, only a look-up fails.
func TestFailureLimitComesBeforeTheStore(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{FailureLimit: 1, FailureBurst: 1})
	guess := func(i int) *httptest.ResponseRecorder {
		return h.do("GET", "/v1/balance", "", header("Authorization", fmt.Sprintf("Bearer guess%d", i)), from("203.0.113.7:1"))
	}
	wantProblem(t, guess(1), ledger.Unauthorized)
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, guess(2), ledger.RateLimited)
	// A fault of the store is not the caller's failure, and is not counted as one.
	for i := range 3 {
		rec := h.do("GET", "/v1/balance", "", header("Authorization", fmt.Sprintf("Bearer other%d", i)), from("203.0.113.8:1"))
		wantProblem(t, rec, ledger.Internal)
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, httpapi.GateOptions{RateLimit: 5})
		first, second := h.customer(1, ledger.ScopeBalanceRead), h.customer(1, ledger.ScopeBalanceRead)
		other := h.customer(2, ledger.ScopeBalanceRead)
		wantLeft := func(rec *httptest.ResponseRecorder, left int) {
			t.Helper()
			policy, limit := rec.Header().Get("Ratelimit-Policy"), rec.Header().Get("Ratelimit")
			if policy != `"account";q=5;w=1` || limit != fmt.Sprintf(`"account";r=%d;t=1`, left) {
				t.Errorf("RateLimit-Policy: %s, RateLimit: %s; want %d left", policy, limit, left)
			}
		}
		// Every key of the account and every door take from the same rate.
		for i, send := range []func() *httptest.ResponseRecorder{
			func() *httptest.ResponseRecorder { return h.do("GET", "/v1/balance", "", as(first)) },
			func() *httptest.ResponseRecorder { return h.do("GET", "/v1/balance", "", as(second)) },
			func() *httptest.ResponseRecorder { return h.do("POST", antgstPath, antgstBody(first)) },
			func() *httptest.ResponseRecorder {
				return h.do("GET", "/MainService.svc/json/GetBalance/"+second.ID+"/"+second.Secret, "")
			},
		} {
			rec := send()
			wantStatus(t, rec, 200)
			wantLeft(rec, 4-i)
		}
		// A request that is refused for another reason has had its turn too.
		rec := h.do("GET", "/v1/accounts", "", as(first))
		wantProblem(t, rec, ledger.Forbidden)
		wantLeft(rec, 0)
		rec = h.do("GET", "/v1/balance", "", as(first))
		problem := wantProblem(t, rec, ledger.RateLimited)
		wantLeft(rec, 0)
		if problem.Detail != "the account is over its request rate" || problem.Hint != "wait 1 s and try again" || rec.Header().Get("Retry-After") != "1" {
			t.Errorf("%+v with Retry-After %q", problem, rec.Header().Get("Retry-After"))
		}
		for _, path := range []string{antgstPath, "/MainService.svc/json/GetBalance_json"} {
			rec = h.do("POST", path, fmt.Sprintf(`{"authSecret":%q,"ApiKey":%q,"SecretKey":%q}`, first.AuthSecret(), first.ID, first.Secret))
			if rec.Header().Get("Retry-After") != "1" {
				t.Errorf("%s answers %d with Retry-After %q", path, rec.Code, rec.Header().Get("Retry-After"))
			}
			wantLeft(rec, 0)
		}
		wantLeft(h.do("GET", "/v1/balance", "", as(other)), 4)
		// Whoever waits as long as it is told is served.
		time.Sleep(time.Second)
		wantLeft(h.do("GET", "/v1/balance", "", as(second)), 4)
		for range 50 {
			rec = h.do("GET", "/v1/accounts/1", "", as(h.root))
			wantStatus(t, rec, 200)
			if rec.Header().Get("Ratelimit") != "" || rec.Header().Get("Ratelimit-Policy") != "" {
				t.Fatal("an operator's key is told of a limit")
			}
		}
	})
}

func TestNoRateLimit(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	customer := h.customer(1, ledger.ScopeBalanceRead)
	for range 300 {
		rec := h.do("GET", "/v1/balance", "", as(customer))
		if rec.Code != 200 || rec.Header().Get("Ratelimit") != "" {
			t.Fatalf("status %d, RateLimit %q", rec.Code, rec.Header().Get("Ratelimit"))
		}
	}
	for range 300 {
		wantStatus(t, h.do("GET", "/v1/balance", "", header("Authorization", "Bearer wrong")), 401)
	}
}

// What a key's list shows is what the gate does.
func TestKeyStatuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, httpapi.GateOptions{})
		expires := time.Now().Add(time.Minute).UTC().Format(time.RFC3339)
		rec := h.do("POST", "/v1/accounts/1/keys", fmt.Sprintf(`{"id":"B","secret":"secret-of-sixteen","expires_at":%q,"allow_list":["203.0.113.7","2001:db8::1/32"]}`, expires), as(h.root))
		wantStatus(t, rec, 201)
		created := read[api.NewKey](t, rec)
		if created.AuthSecret != "Bsecret-of-sixteen" || created.Last4 != "teen" || rec.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%+v", created)
		}
		h.keyFor(ledger.Key{Account: 1, Scopes: []ledger.Scope{ledger.ScopeBalanceRead}}, ledger.Credentials{ID: "A", Secret: "a"})
		wantStatus(t, h.do("DELETE", "/v1/keys/A", "", as(h.root)), 204)
		time.Sleep(time.Minute)
		rec = h.do("GET", "/v1/accounts/1/keys", "", as(h.root))
		page := read[api.KeyPage](t, rec)
		if len(page.Items) != 2 || page.Items[0].Status != api.KeyStatusRevoked || page.Items[0].RevokedAt == "" || page.Items[1].Status != api.KeyStatusExpired ||
			page.Items[1].AllowList[0] != netip.MustParsePrefix("203.0.113.7/32").String() || page.Items[1].AllowList[1] != "2001:db8::/32" {
			t.Errorf("%s", rec.Body)
		}
		if strings.Contains(rec.Body.String(), "secret-of") {
			t.Error("the list tells a secret")
		}
	})
}

func grep(text, part string) string {
	var found []string
	for one := range strings.Lines(text) {
		if strings.Contains(one, part) {
			found = append(found, one)
		}
	}
	return strings.Join(found, "")
}
