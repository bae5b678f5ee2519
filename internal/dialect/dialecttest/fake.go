package dialecttest

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Fake is the endpoint of a provider, made from the provider's public
// documentation. It takes the request that is documented and no other, and it
// knows one account.
type Fake struct {
	mutex   sync.Mutex
	balance string
	asked   []time.Time
	answer  func(r *http.Request, balance string) answer
	// limit is how many requests a minute are answered, 0 for any number.
	limit int
	over  answer
}

type answer struct {
	status int
	header http.Header
	body   string
}

func newFake(balance string, respond func(r *http.Request, balance string) answer) *Fake {
	return &Fake{balance: balance, answer: respond}
}

// Set sets the balance, a decimal number.
func (f *Fake) Set(balance string) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.balance = balance
}

// Asked is how many requests came.
func (f *Fake) Asked() int {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return len(f.asked)
}

// ServeHTTP answers.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := f.respond(r)
	maps.Copy(w.Header(), a.header)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_, _ = w.Write([]byte(a.body))
}

func (f *Fake) respond(r *http.Request) answer {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	now := time.Now()
	f.asked = append(f.asked, now)
	if n := len(f.asked); f.limit > 0 && n > f.limit && now.Sub(f.asked[n-1-f.limit]) < time.Minute {
		return f.over
	}
	return f.answer(r, f.balance)
}

// gets tells whether a request asks for a path, with no parameters in the URL.
func gets(r *http.Request, path string) bool {
	return r.Method == http.MethodGet && r.URL.Path == path && r.URL.RawQuery == ""
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// SpeedSMS is api.speedsms.vn, which answers sixty requests a minute.
func SpeedSMS(token string) *Fake {
	fake := newFake("100000.0", func(r *http.Request, balance string) answer {
		switch {
		case !gets(r, "/index.php/user/info"):
			return answer{status: 404, body: `{"name":"Not Found","message":"Nothing is here.","code":0,"status":404}`}
		case r.Header.Get("Authorization") != basic(token, "x"):
			return answer{status: 401, body: `{"name":"Unauthorized","message":"The credential is not valid.","code":0,"status":401}`}
		}
		return answer{status: 200, body: fmt.Sprintf(`{"status":"success","code":"00","data":{"email":"someone@example.com","balance":%s,"currency":"VND"}}`, balance)}
	})
	fake.limit = 60
	fake.over = answer{
		status: 429, header: http.Header{"X-Rate-Limit-Reset": {"60"}},
		body: `{"name":"Too Many Requests","message":"Over the limit.","code":0,"status":429}`,
	}
	return fake
}

// Twilio is api.twilio.com.
func Twilio(accountSID, authToken string) *Fake {
	fault := func(status, code int, message string) answer {
		return answer{status: status, body: fmt.Sprintf(`{"code":%d,"message":%q,"more_info":"https://www.twilio.com/docs/errors/%d","status":%d}`, code, message, code, status)}
	}
	return newFake("20.04152", func(r *http.Request, balance string) answer {
		switch {
		case r.Header.Get("Authorization") != basic(accountSID, authToken):
			return fault(401, 20003, "Not authenticated")
		case !gets(r, "/2010-04-01/Accounts/"+accountSID+"/Balance.json"):
			return fault(404, 20404, "No such resource")
		}
		return answer{status: 200, body: fmt.Sprintf(`{"account_sid":%q,"balance":%q,"currency":"USD"}`, accountSID, balance)}
	})
}

// Telnyx is api.telnyx.com, with a credit limit of 100 dollars.
func Telnyx(apiKey string) *Fake {
	fault := func(status int, code, title string) answer {
		return answer{status: status, body: fmt.Sprintf(`{"errors":[{"code":%q,"title":%q,"detail":"See the catalogue of errors."}]}`, code, title)}
	}
	return newFake("300.00", func(r *http.Request, balance string) answer {
		switch {
		case r.Header.Get("Authorization") != "Bearer "+apiKey:
			return fault(401, "10009", "Not authenticated")
		case !gets(r, "/v2/balance"):
			return fault(404, "10005", "No such resource")
		}
		return answer{status: 200, body: fmt.Sprintf(`{"data":{"record_type":"balance","pending":"10.00","balance":%q,"credit_limit":"100.00","currency":"USD"}}`, balance)}
	})
}

// Vonage is rest.nexmo.com.
func Vonage(apiKey, apiSecret string) *Fake {
	return newFake("10.28", func(r *http.Request, balance string) answer {
		switch {
		case r.Header.Get("Authorization") != basic(apiKey, apiSecret):
			return answer{status: 401, body: `{"error-code":"401","error-code-label":"not authenticated"}`}
		case !gets(r, "/account/get-balance"):
			return answer{status: 404, body: `{"type":"https://developer.vonage.com/en/api-errors#not-found","title":"Not Found","detail":"Nothing is here.","instance":"1"}`}
		}
		return answer{status: 200, body: fmt.Sprintf(`{"value":%s,"autoReload":false}`, balance)}
	})
}

// MessageBird is rest.messagebird.com, with a prepaid account in euros.
func MessageBird(accessKey string) *Fake {
	fault := func(status, code int, description string) answer {
		return answer{status: status, body: fmt.Sprintf(`{"errors":[{"code":%d,"description":%q,"parameter":null}]}`, code, description)}
	}
	return newFake("103", func(r *http.Request, balance string) answer {
		switch {
		case r.Header.Get("Authorization") != "AccessKey "+accessKey:
			return fault(401, 2, "Not allowed")
		case !gets(r, "/balance"):
			return fault(404, 98, "No such endpoint")
		}
		return answer{status: 200, body: fmt.Sprintf(`{"payment":"prepaid","type":"euros","amount":%s}`, balance)}
	})
}

// SMSC is smsc.ru, which answers ten requests a minute, all of them with HTTP
// status 200.
func SMSC(login, password string) *Fake {
	fault := func(code int, message string) answer {
		return answer{status: 200, body: `{"error":` + strconv.Quote(message) + `,"error_code":` + strconv.Itoa(code) + `}`}
	}
	fake := newFake("250.80", func(r *http.Request, balance string) answer {
		if r.URL.Path != "/sys/balance.php" {
			return answer{status: 404, body: "<html>Nothing is here.</html>"}
		}
		if err := r.ParseForm(); err != nil || r.PostForm.Get("fmt") != "3" {
			return fault(1, "wrong parameters")
		}
		if r.PostForm.Get("login") != login || r.PostForm.Get("psw") != password {
			return fault(2, "not authorised")
		}
		if r.PostForm.Get("cur") != "1" {
			return answer{status: 200, body: fmt.Sprintf(`{"balance":%q}`, balance)}
		}
		return answer{status: 200, body: fmt.Sprintf(`{"balance":%q,"currency":"KZT"}`, balance)}
	})
	fake.limit, fake.over = 10, fault(9, "too often")
	return fake
}
