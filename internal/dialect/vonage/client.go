package vonage

import (
	"net/http"

	"github.com/saldo-ledger/saldo/internal/dialect/internal/rest"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// DefaultBaseURL is where the service is.
const DefaultBaseURL = "https://rest.nexmo.com"

// Client asks for the balance of one account.
type Client struct{ *rest.Client }

// NewClient makes a Client from an API key and its secret. They travel in a
// header: the documentation also allows parameters of the URL, which proxies log.
func NewClient(options provider.Options, apiKey, apiSecret string) (*Client, error) {
	client, err := rest.New(options, DefaultBaseURL, &rest.Question{
		Request: provider.Request{
			Method: http.MethodGet,
			Path:   "/account/get-balance",
			Header: http.Header{"Authorization": {rest.Basic(apiKey, apiSecret)}, "Accept": {"application/json"}},
		},
		Credentials: []rest.Credential{{Name: "API key", Value: apiKey}, {Name: "API secret", Value: apiSecret}},
		Decode:      decode,
	})
	if err != nil {
		return nil, err
	}
	return &Client{client}, nil
}
