package esms

import (
	"net/http"

	"github.com/saldo-ledger/saldo/internal/dialect/internal/rest"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// DefaultBaseURL is the real service's. Its pages in English still write http,
// those in Vietnamese https.
const DefaultBaseURL = "https://rest.esms.vn"

// Client asks the real service, or one that speaks like it, for the main balance
// of an account.
type Client struct{ *rest.Client }

// NewClient makes a Client with the two parts of a key.
func NewClient(options provider.Options, apiKey, secretKey string) (*Client, error) {
	client, err := rest.New(options, DefaultBaseURL, &rest.Question{
		Request: provider.Request{
			Method: http.MethodPost,
			// The one operation that speaks JSON and keeps the secret out of the path.
			Path:   root + "json/GetBalance_json",
			Header: http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}},
			Body:   encodeRequest(apiKey, secretKey),
		},
		Credentials: []rest.Credential{{Name: "ApiKey", Value: apiKey}, {Name: "SecretKey", Value: secretKey}},
		Decode:      decodeReply,
	})
	if err != nil {
		return nil, err
	}
	return &Client{client}, nil
}
