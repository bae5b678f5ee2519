package acceptance

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

// doors are the ways to ask for a balance, each with how it says yes and no.
var doors = []struct {
	name string
	ask  func(t *testing.T, w *world, key pair, headers ...string) saldotest.Reply
	// What the reply begins with for one reason or another.
	yes, unauthorized, denied, limited string
}{
	{
		"antgst", func(t *testing.T, w *world, key pair, headers ...string) saldotest.Reply {
			t.Helper()
			return w.Send(t, http.MethodPost, antgstPath, authSecret(key.authSecret()), headers...)
		},
		`200 {"msg":"SUCCESS","code":200,`,
		`400 {"msg":"auth secret error!","code":-22}`,
		`400 {"msg":"Ip whitelist error!","code":-29}`,
		`429 {"msg":"The number has reached the request limit","code":-32}`,
	},
	{
		"esms json", func(t *testing.T, w *world, key pair, headers ...string) saldotest.Reply {
			t.Helper()
			path, body := esmsForms[0].request(key)
			return w.Send(t, http.MethodPost, path, body, headers...)
		},
		`200 {"Balance":0,"CodeResponse":"100",`,
		`200 {"Balance":0,"CodeResponse":"101","ErrorMessage":"Authorize Failed"}`,
		`200 {"Balance":0,"CodeResponse":"140","ErrorMessage":"IP is not whitelisted"}`,
		`429 {"Balance":0,"CodeResponse":"160","ErrorMessage":"Exceed TPS"}`,
	},
	{
		"esms xml path", func(t *testing.T, w *world, key pair, headers ...string) saldotest.Reply {
			t.Helper()
			path, _ := esmsForms[3].request(key)
			return w.Send(t, http.MethodGet, path, "", headers...)
		},
		`200 <MemberModel><Balance>0</Balance><UserID>`,
		`200 <MemberModel><Balance>0</Balance><ErrorMessage>Authorize Failed</ErrorMessage><CodeResponse>101</CodeResponse></MemberModel>`,
		`200 <MemberModel><Balance>0</Balance><ErrorMessage>IP is not whitelisted</ErrorMessage><CodeResponse>140</CodeResponse></MemberModel>`,
		`429 <MemberModel><Balance>0</Balance><ErrorMessage>Exceed TPS</ErrorMessage><CodeResponse>160</CodeResponse></MemberModel>`,
	},
	{
		"rest", func(t *testing.T, w *world, key pair, headers ...string) saldotest.Reply {
			t.Helper()
			reply := w.Send(t, http.MethodGet, "/v1/balance", "", append(headers, "Authorization", key.basic())...)
			validate(t, "/v1/balance", reply)
			return reply
		},
		`200 {"account":`,
		`401 {"type":"urn:saldo:problem:unauthorized",`,
		`403 {"type":"urn:saldo:problem:ip_denied",`,
		`429 {"type":"urn:saldo:problem:rate_limited",`,
	},
}

// begins checks how a reply begins.
func begins(t *testing.T, reply saldotest.Reply, want string) {
	t.Helper()
	if got := fmt.Sprintf("%d %s", reply.Status, reply.Body); !strings.HasPrefix(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestAllowList checks whose word about an address is believed.
func TestAllowList(t *testing.T) { saldotest.OnEachStore(t, testAllowList) }

func testAllowList(t *testing.T, store saldotest.Store) {
	t.Helper()
	servers := map[string]*world{}
	for i, test := range []struct {
		name      string
		proxies   string // that the server trusts
		allow     api.AllowList
		forwarded []string
		admitted  bool
	}{
		{"the peer", "", api.AllowList{"127.0.0.1"}, nil, true},
		{"the peer, whatever it says", "", api.AllowList{"127.0.0.0/8"}, []string{"198.51.100.1"}, true},
		{"another peer", "", api.AllowList{"203.0.113.0/24"}, nil, false},
		{"a peer that says so", "", api.AllowList{"203.0.113.0/24"}, []string{"203.0.113.9"}, false},
		{"a proxy's word", "127.0.0.1", api.AllowList{"203.0.113.0/24"}, []string{"203.0.113.9"}, true},
		{"a proxy's word against", "127.0.0.1", api.AllowList{"203.0.113.0/24"}, []string{"198.51.100.1"}, false},
		{"a proxy that says nothing", "127.0.0.1", api.AllowList{"203.0.113.0/24"}, nil, false},
		{"another proxy", "10.0.0.0/8", api.AllowList{"203.0.113.0/24"}, []string{"203.0.113.9"}, false},
		{"forged before a proxy", "127.0.0.1", api.AllowList{"203.0.113.0/24"}, []string{"203.0.113.9, 198.51.100.1"}, false},
		{"forged in a line before", "127.0.0.1", api.AllowList{"203.0.113.0/24"}, []string{"203.0.113.9", "198.51.100.1"}, false},
		{"two proxies", "127.0.0.1,10.0.0.0/8", api.AllowList{"2001:db8::/32"}, []string{"198.51.100.1, 2001:db8::7", "10.1.2.3"}, true},
		{"nonsense", "127.0.0.1", api.AllowList{"203.0.113.0/24"}, []string{"203.0.113.9, unknown"}, false},
		{"the proxy itself", "127.0.0.1", api.AllowList{"127.0.0.1"}, []string{"198.51.100.1"}, false},
	} {
		w, started := servers[test.proxies]
		if !started {
			w = newWorld(t, store, "--trusted-proxy", test.proxies)
			servers[test.proxies] = w
		}
		t.Run(test.name, func(t *testing.T) {
			key := w.importKey(t, w.account(t, api.AccountRequest{}, nil), fmt.Sprint("KEY", i), api.KeyRequest{AllowList: test.allow})
			var headers []string
			for _, line := range test.forwarded {
				headers = append(headers, "X-Forwarded-For", line)
			}
			for _, door := range doors {
				expected := door.denied
				if test.admitted {
					expected = door.yes
				}
				begins(t, door.ask(t, w, key, headers...), expected)
			}
		})
	}
}

// TestRateLimit checks that the keys of an account share one limit at all
// doors, and that others do not.
func TestRateLimit(t *testing.T) { saldotest.OnEachStore(t, testRateLimit) }

func testRateLimit(t *testing.T, store saldotest.Store) {
	t.Helper()
	w := newWorld(t, store, "--rate-limit", "2", "--auth-failure-limit", "0")
	account := w.account(t, api.AccountRequest{}, nil)
	first, second := w.importKey(t, account, "FIRST", api.KeyRequest{}), w.importKey(t, account, "SECOND", api.KeyRequest{})
	other := w.importKey(t, w.account(t, api.AccountRequest{}, nil), "OTHER", api.KeyRequest{})
	for i, door := range doors {
		t.Run(door.name, func(t *testing.T) {
			begins(t, door.ask(t, w, other), door.yes)
			next := doors[(i+1)%len(doors)]
			var replies [4]saldotest.Reply
			slow := true
			for slow { // until all four came within the half second in which the account earns no request
				time.Sleep(1100 * time.Millisecond)
				began := time.Now()
				replies = [4]saldotest.Reply{door.ask(t, w, first), next.ask(t, w, second), door.ask(t, w, second), next.ask(t, w, first)}
				slow = time.Since(began) > 450*time.Millisecond
			}
			for n, expected := range []string{door.yes, next.yes, door.limited, next.limited} {
				begins(t, replies[n], expected)
				header := replies[n].Header
				left := strconv.Itoa(max(0, 1-n))
				if header.Get("Ratelimit") != `"account";r=`+left+`;t=1` || header.Get("Ratelimit-Policy") != `"account";q=2;w=1` {
					t.Errorf("reply %d: RateLimit %q, RateLimit-Policy %q", n, header.Values("Ratelimit"), header.Values("Ratelimit-Policy"))
				}
				if after := header.Get("Retry-After"); (after == "1") != (n >= 2) {
					t.Errorf("reply %d: Retry-After %q", n, after)
				}
			}
			// Wrong credentials take nothing off anybody's rate.
			begins(t, door.ask(t, w, pair{"FIRST", saldotest.Secret}), door.unauthorized)
		})
	}
	t.Run("operator", func(t *testing.T) {
		for range 20 {
			reply := w.Send(t, http.MethodGet, "/v1/accounts", "", "Authorization", "Bearer "+w.key)
			if reply.Status != 200 || reply.Header.Get("Ratelimit") != "" {
				t.Errorf("got %+v", reply)
			}
		}
	})
}

// TestNoRateLimit checks that 0 means none.
func TestNoRateLimit(t *testing.T) { saldotest.OnEachStore(t, testNoRateLimit) }

func testNoRateLimit(t *testing.T, store saldotest.Store) {
	t.Helper()
	w := newWorld(t, store, "--rate-limit", "0", "--auth-failure-limit", "0")
	key := w.importKey(t, w.account(t, api.AccountRequest{}, nil), "KEY", api.KeyRequest{})
	for range 250 {
		for _, door := range doors {
			reply := door.ask(t, w, key)
			begins(t, reply, door.yes)
			if reply.Header.Get("Ratelimit") != "" || reply.Header.Get("Ratelimit-Policy") != "" {
				t.Fatalf("got %+v", reply)
			}
		}
	}
}

// TestFailureLimit checks that an address which guesses is stopped, with the
// right key too, and others are not.
func TestFailureLimit(t *testing.T) { saldotest.OnEachStore(t, testFailureLimit) }

func testFailureLimit(t *testing.T, store saldotest.Store) {
	t.Helper()
	w := newWorld(t, store, "--auth-failure-limit", "1", "--auth-failure-burst", "4", "--trusted-proxy", "127.0.0.1")
	key := w.importKey(t, w.account(t, api.AccountRequest{}, nil), "KEY", api.KeyRequest{})
	from := func(address string) []string { return []string{"X-Forwarded-For", address} }
	t.Run("guesses", func(t *testing.T) {
		for _, door := range doors {
			begins(t, door.ask(t, w, pair{"KEY", saldotest.Secret}, from("198.51.100.1")...), door.unauthorized)
		}
	})
	for _, door := range doors {
		t.Run(door.name, func(t *testing.T) {
			// Enough to be refused even if the guesses above took seconds.
			var refused saldotest.Reply
			for range 20 {
				if refused = door.ask(t, w, pair{"KEY", saldotest.Secret}, from("198.51.100.1")...); refused.Status == 429 {
					break
				}
			}
			begins(t, refused, door.limited)
			if refused.Header.Get("Retry-After") != "1" || refused.Header.Get("Ratelimit") != "" {
				t.Errorf("headers: %v", refused.Header)
			}
			begins(t, door.ask(t, w, key, from("198.51.100.2")...), door.yes)
		})
	}
	t.Run("the right key", func(t *testing.T) {
		door := doors[0]
		var reply saldotest.Reply
		for range 20 { // a token may have come back since
			door.ask(t, w, pair{"KEY", saldotest.Secret}, from("198.51.100.1")...)
			if reply = door.ask(t, w, key, from("198.51.100.1")...); reply.Status == 429 {
				break
			}
		}
		begins(t, reply, door.limited)
		time.Sleep(1100 * time.Millisecond)
		begins(t, door.ask(t, w, key, from("198.51.100.1")...), door.yes)
	})
	t.Run("IPv6", func(t *testing.T) {
		door := doors[0]
		limited := false
		for i := range 20 { // addresses of one customer's network
			reply := door.ask(t, w, pair{"KEY", saldotest.Secret}, from(fmt.Sprintf("2001:db8:0:1:%x::1", i))...)
			limited = limited || reply.Status == 429
		}
		if !limited {
			t.Error("a network of 64 bits can guess without end")
		}
		begins(t, door.ask(t, w, key, from("2001:db8:0:2::1")...), door.yes)
	})
}

// TestInForce checks that what the operator changes counts for the very next
// request, at every door, though keys and accounts are kept in memory.
func TestInForce(t *testing.T) { saldotest.OnEachStore(t, testInForce) }

func testInForce(t *testing.T, store saldotest.Store) {
	t.Helper()
	w := newWorld(t, store)
	for _, door := range doors {
		t.Run(door.name, func(t *testing.T) {
			account := w.account(t, api.AccountRequest{}, nil)
			key := w.importKey(t, account, "KEY-"+strings.ReplaceAll(door.name, " ", "-"), api.KeyRequest{})
			begins(t, door.ask(t, w, key), door.yes)
			for _, status := range []api.AccountStatus{api.AccountStatusSuspended, api.AccountStatusActive, api.AccountStatusClosed, api.AccountStatusActive} {
				w.status(t, account, status)
				reply := door.ask(t, w, key)
				switch {
				case status == api.AccountStatusActive:
					begins(t, reply, door.yes)
				case door.name == "rest": // which shows the status instead of refusing
					if !strings.Contains(reply.Body, `"status":"`+string(status)+`"`) {
						t.Errorf("%s: %+v", status, reply)
					}
				case !strings.Contains(reply.Body, "-23") && !strings.Contains(reply.Body, "143"):
					t.Errorf("%s: %+v", status, reply)
				}
			}
			if err := w.operator.RevokeKey(t.Context(), key.id); err != nil {
				t.Fatal(err)
			}
			begins(t, door.ask(t, w, key), door.unauthorized)
			expires := time.Now().Add(700 * time.Millisecond)
			short := w.importKey(t, account, key.id+"-2", api.KeyRequest{ExpiresAt: expires.Format(time.RFC3339Nano)})
			reply := door.ask(t, w, short)
			if time.Now().Before(expires) {
				begins(t, reply, door.yes)
			}
			time.Sleep(time.Until(expires) + 10*time.Millisecond)
			begins(t, door.ask(t, w, short), door.unauthorized)
			if i, err := w.operator.Balance(t.Context()); err == nil {
				t.Errorf("the operator has a balance: %+v", i)
			}
		})
	}
}

// TestNoPathSecrets checks that without its GET operations the dialect keeps the others.
func TestNoPathSecrets(t *testing.T) { saldotest.OnEachStore(t, testNoPathSecrets) }

func testNoPathSecrets(t *testing.T, store saldotest.Store) {
	t.Helper()
	w := newWorld(t, store, "--no-path-secrets", "--rate-limit", "1000")
	account := w.account(t, api.AccountRequest{}, nil)
	key := w.importKey(t, account, "KEY", api.KeyRequest{})
	for _, form := range esmsForms {
		for _, spelling := range []string{form.path, strings.ToLower(form.path)} {
			form.path = spelling
			t.Run(form.method+" "+form.path, func(t *testing.T) {
				expected := form.balance(0, account, form.admitted())
				if form.method == http.MethodGet {
					expected = form.failure(404, "404", "Unknown operation", form.headers())
				}
				path, body := form.request(key)
				check(t, w.Send(t, form.method, path, body), expected)
			})
		}
	}
}

// TestPathsAreNotRepeated sends paths that only nearly belong to a dialect: a
// reply that repeated one, in a redirect for example, would repeat a secret.
func TestPathsAreNotRepeated(t *testing.T) { saldotest.OnEachStore(t, testPathsAreNotRepeated) }

func testPathsAreNotRepeated(t *testing.T, store saldotest.Store) {
	t.Helper()
	w := newWorld(t, store)
	key := saldotest.Secret
	for _, path := range []string{
		"//MainService.svc/json/GetBalance/ID/" + key, "/x/../MainService.svc/json/GetBalance/ID/" + key, "/./MainService.svc/json/GetBalance/ID/" + key,
		"/MAINSERVICE.SVC/json/GetBalance/ID/" + key, "/MainService.svc", "/user", "/MainService%2Esvc/json/GetBalance/ID/" + key, "/" + key,
		"/v1/" + key + "//x", "//v1/accounts", "/v1/accounts/", "/v1/balance/../" + key, "/%2e%2e/" + key, "/MainService.svc/../" + key, "/user/../" + key,
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(method+" "+path, func(t *testing.T) {
				reply := w.Send(t, method, path, "")
				if reply.Status != http.StatusNotFound || reply.Header.Get("Location") != "" || strings.Contains(reply.Body, key) {
					t.Errorf("got %+v", reply)
				}
			})
		}
	}
}
