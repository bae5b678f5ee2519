package antgst

import (
	"net/http"

	"github.com/saldo-ledger/saldo/internal/dialect/internal/rest"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// DefaultBaseURL is the real service's.
const DefaultBaseURL = "https://api.antgst.com"

// Client asks the real service, or one that speaks like it, for the two balances
// of an account.
type Client struct{ *rest.Client }

// NewClient makes a Client. The authSecret is the AccessKey ID, immediately
// followed by the AccessKey Secret.
func NewClient(options provider.Options, authSecret string) (*Client, error) {
	client, err := rest.New(options, DefaultBaseURL, &rest.Question{
		Request: provider.Request{
			Method: http.MethodPost,
			Path:   Path,
			Header: http.Header{"Content-Type": {contentType}, "Accept": {contentType}},
			Body:   encodeRequest(authSecret),
		},
		Credentials: []rest.Credential{{Name: "authSecret", Value: authSecret}},
		Decode:      decodeReply,
	})
	if err != nil {
		return nil, err
	}
	return &Client{client}, nil
}
