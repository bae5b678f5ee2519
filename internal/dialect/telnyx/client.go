package telnyx

import (
	"net/http"

	"github.com/saldo-ledger/saldo/internal/dialect/internal/rest"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// DefaultBaseURL is where the service is.
const DefaultBaseURL = "https://api.telnyx.com/v2"

// Client asks for the balance of one account.
type Client struct{ *rest.Client }

// NewClient makes a Client from an API key.
func NewClient(options provider.Options, apiKey string) (*Client, error) {
	client, err := rest.New(options, DefaultBaseURL, &rest.Question{
		Request: provider.Request{
			Method: http.MethodGet,
			Path:   "/balance",
			Header: http.Header{"Authorization": {"Bearer " + apiKey}, "Accept": {"application/json"}},
		},
		Credentials: []rest.Credential{{Name: "API key", Value: apiKey}},
		Decode:      decode,
	})
	if err != nil {
		return nil, err
	}
	return &Client{client}, nil
}
