// Package rest is what the clients of the providers do alike: put one question,
// decode the reply, and keep secrets out of what is told of a failure. It knows
// no provider.
package rest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/saldo-ledger/saldo/internal/provider"
)

// What is quoted of a provider's words, in bytes.
const (
	maxCode    = 64 // also of names
	maxMessage = 256
)

// ErrCredential says that a credential cannot be sent. It is never repeated.
var ErrCredential = errors.New("a credential cannot be used")

// Credential is what a provider knows its customer by, with a name for the operator.
type Credential struct {
	Name, Value string
	// Identifier says that it only names the account, so that a balance may show
	// it. All others are secrets.
	Identifier bool
}

// Question is what a Client asks, again and again.
type Question struct {
	Request     provider.Request
	Credentials []Credential
	// Decode says what a reply means. Its errors are *provider.Error, with the
	// provider's code and message as they came: the Client bounds and cleans them.
	Decode func(*provider.Reply) (*provider.Balance, error)
}

// Client asks one provider, with one set of credentials.
type Client struct {
	asker    *provider.Asker
	question Question
	// hide takes all credentials out of a text, hideSecrets all but identifiers.
	hide, hideSecrets *strings.Replacer
}

// New makes a Client, with the provider's own base URL where the options name none.
func New(options provider.Options, baseURL string, question *Question) (*Client, error) {
	for _, credential := range question.Credentials {
		if err := credential.check(); err != nil {
			return nil, err
		}
	}
	if options.BaseURL == "" {
		options.BaseURL = baseURL
	}
	asker, err := provider.NewAsker(options)
	if err != nil {
		return nil, err
	}
	return &Client{asker: asker, question: *question, hide: question.hide(true), hideSecrets: question.hide(false)}, nil
}

func (c Credential) check() error {
	switch {
	case c.Value == "":
		return fmt.Errorf("%w: the %s is missing", ErrCredential, c.Name)
	case strings.ContainsFunc(c.Value, unicode.IsControl):
		return fmt.Errorf("%w: the %s has a control character in it; is there a line break at its end?", ErrCredential, c.Name)
	}
	return nil
}

// leastHidden is how long a secret is, in bytes, to be looked for in names: a short
// one may be a word of its own, as a user who is called sms.
const leastHidden = 6

// hide makes what takes the credentials out of a text, with identifiers or without.
func (q *Question) hide(identifiers bool) *strings.Replacer {
	var secrets []string
	for _, c := range q.Credentials {
		if identifiers || !c.Identifier {
			secrets = append(secrets, forms(c.Value)...)
		}
	}
	for _, value := range q.Request.Header["Authorization"] {
		_, parameter, _ := strings.Cut(value, " ")
		// The padding of base64 is not always repeated.
		secrets = append(secrets, parameter, strings.TrimRight(parameter, "="))
	}
	least := 1
	if !identifiers {
		least = leastHidden
	}
	secrets = slices.DeleteFunc(secrets, func(secret string) bool { return len(secret) < least })
	// The replacer takes the first that fits, so the longer ones come first.
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, secret := range slices.Compact(secrets) {
		pairs = append(pairs, secret, "[hidden]")
	}
	return strings.NewReplacer(pairs...)
}

// forms are the ways in which a text can be written. Some providers repeat what
// they were sent, and not always in the form in which it was sent.
func forms(text string) []string {
	quoted := strconv.Quote(text)
	encoded, _ := json.Marshal(text) //nolint:errchkjson // Strings can always be encoded.
	return []string{
		text, url.QueryEscape(text), url.PathEscape(text), (&url.URL{Path: text}).EscapedPath(),
		quoted[1 : len(quoted)-1], string(encoded[1 : len(encoded)-1]), html.EscapeString(text),
	}
}

// Balance asks the provider. Its errors are *provider.Error.
func (c *Client) Balance(ctx context.Context) (*provider.Balance, error) {
	var balance *provider.Balance
	err := c.asker.Ask(ctx, &c.question.Request, func(reply *provider.Reply) error {
		answer, err := c.question.Decode(reply)
		if err == nil {
			err = c.tidy(answer)
		}
		if err != nil {
			return c.clean(err)
		}
		balance = answer
		return nil
	})
	if err != nil {
		return nil, err
	}
	return balance, nil
}

// Close closes the connections that are kept for the next question.
func (c *Client) Close() { c.asker.Close() }

// Format prints a Client without what it asks, in which the credentials are.
func (*Client) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, "a client of a provider") }

// clean makes a failure fit to be told: without secrets, printable and bounded.
// Secrets go first, so that no part of one is left where a text is cut off.
func (c *Client) clean(err error) error {
	failure, ok := errors.AsType[*provider.Error](err)
	if !ok {
		failure = provider.Errorf(provider.Malformed, "%v", err)
	}
	failure.Code = Plain(c.hide.Replace(failure.Code), maxCode)
	failure.Message = Plain(c.hide.Replace(failure.Message), maxMessage)
	return failure
}

// tidy makes the names in a balance fit to be shown and kept: they are what the
// provider chose to send, which may be a secret. Buckets are told apart by what is
// left of their names, so it fails where these are empty then, or the same: one
// reading would vanish.
func (c *Client) tidy(balance *provider.Balance) error {
	balance.Account = Plain(c.hideSecrets.Replace(balance.Account), maxCode)
	type name struct {
		service, currency string
		unit              provider.Unit
	}
	seen := make(map[name]bool, len(balance.Buckets))
	for i := range balance.Buckets {
		b := &balance.Buckets[i]
		b.Service, b.Currency = Plain(c.hideSecrets.Replace(b.Service), maxCode), Plain(b.Currency, maxCode)
		key := name{b.Service, b.Currency, b.Unit}
		switch {
		case b.Service == "":
			return provider.Errorf(provider.Malformed, "a balance is for a service without a name")
		case seen[key]:
			return provider.Errorf(provider.Malformed, "the balance of %s is there twice", b.Service)
		}
		seen[key] = true
	}
	return nil
}

// Plain is a text on one line of at most limit bytes, without what a terminal
// or a log would take for a command.
func Plain(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, "?"))
	text = strings.Join(strings.Fields(text), " ")
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit-len("…")], "") + "…"
}

// Basic is the value of the header Authorization for HTTP Basic.
func Basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}
