package speedsms

import (
	"net/http"

	"github.com/saldo-ledger/saldo/internal/dialect/internal/rest"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// DefaultBaseURL is where the service is.
const DefaultBaseURL = "https://api.speedsms.vn/index.php"

// Client asks for the balance of one account.
type Client struct{ *rest.Client }

// NewClient makes a Client from an API access token.
func NewClient(options provider.Options, token string) (*Client, error) {
	client, err := rest.New(options, DefaultBaseURL, &rest.Question{
		Request: provider.Request{
			Method: http.MethodGet,
			Path:   "/user/info",
			// The token is the name of the user; the password is an x for everybody.
			Header: http.Header{"Authorization": {rest.Basic(token, "x")}, "Accept": {"application/json"}},
		},
		Credentials: []rest.Credential{{Name: "access token", Value: token}},
		Decode:      decode,
	})
	if err != nil {
		return nil, err
	}
	return &Client{client}, nil
}
