package twilio

import (
	"fmt"
	"net/http"
	"regexp"

	"github.com/saldo-ledger/saldo/internal/dialect/internal/rest"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// DefaultBaseURL is where the service is.
const DefaultBaseURL = "https://api.twilio.com"

// sid is what may stand in a path without changing where it leads.
var sid = regexp.MustCompile(`^AC[0-9a-zA-Z]{1,62}$`)

// Client asks for the balance of one account.
type Client struct{ *rest.Client }

// NewClient makes a Client from an account's SID and its auth token.
func NewClient(options provider.Options, accountSID, authToken string) (*Client, error) {
	if !sid.MatchString(accountSID) {
		return nil, fmt.Errorf("%w: the account SID must be AC and 32 hexadecimal digits", rest.ErrCredential)
	}
	client, err := rest.New(options, DefaultBaseURL, &rest.Question{
		Request: provider.Request{
			Method: http.MethodGet,
			Path:   "/2010-04-01/Accounts/" + accountSID + "/Balance.json",
			Header: http.Header{"Authorization": {rest.Basic(accountSID, authToken)}, "Accept": {"application/json"}},
		},
		Credentials: []rest.Credential{{Name: "account SID", Value: accountSID, Identifier: true}, {Name: "auth token", Value: authToken}},
		Decode:      decode,
	})
	if err != nil {
		return nil, err
	}
	return &Client{client}, nil
}
