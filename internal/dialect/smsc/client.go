package smsc

import (
	"net/http"
	"net/url"

	"github.com/saldo-ledger/saldo/internal/dialect/internal/rest"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// DefaultBaseURL is where the service is.
const DefaultBaseURL = "https://smsc.ru"

// Client asks for the balance of one account.
type Client struct{ *rest.Client }

// NewClient makes a Client from the login and the password of an account. They
// travel in the body: the documentation shows them in the URL, which proxies
// log, but parameters are taken from a form as well.
func NewClient(options provider.Options, login, password string) (*Client, error) {
	form := url.Values{"login": {login}, "psw": {password}, "fmt": {"3"}, "cur": {"1"}}
	client, err := rest.New(options, DefaultBaseURL, &rest.Question{
		Request: provider.Request{
			Method: http.MethodPost,
			Path:   "/sys/balance.php",
			Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}},
			Body:   []byte(form.Encode()),
		},
		Credentials: []rest.Credential{{Name: "login", Value: login, Identifier: true}, {Name: "password", Value: password}},
		Decode:      decode,
	})
	if err != nil {
		return nil, err
	}
	return &Client{client}, nil
}
