package messagebird

import (
	"net/http"

	"github.com/saldo-ledger/saldo/internal/dialect/internal/rest"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// DefaultBaseURL is where the service is.
const DefaultBaseURL = "https://rest.messagebird.com"

// Client asks for the balance of one account.
type Client struct{ *rest.Client }

// NewClient makes a Client from an access key.
func NewClient(options provider.Options, accessKey string) (*Client, error) {
	client, err := rest.New(options, DefaultBaseURL, &rest.Question{
		Request: provider.Request{
			Method: http.MethodGet,
			Path:   "/balance",
			Header: http.Header{"Authorization": {"AccessKey " + accessKey}, "Accept": {"application/json"}},
		},
		Credentials: []rest.Credential{{Name: "access key", Value: accessKey}},
		Decode:      decode,
	})
	if err != nil {
		return nil, err
	}
	return &Client{client}, nil
}
