// Package esms speaks the balance request of the SMS provider eSMS.vn, so that
// programs written for that provider work with Saldo unchanged. The source is
// the page "Get balance" under https://developers.esms.vn/en/esms-api with its
// table of error codes, the provider's older help pages, and what public
// clients send and read; docs/wire/esms.md tells what is the provider's word
// and what is Saldo's.
package esms

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/saldo-ledger/saldo/internal/dialect/internal/message"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// Balances answers who the credentials belong to and what is left.
type Balances interface {
	// Balance authenticates the caller, applies allow-list, status and rate
	// limit, and returns the account with its wallets. It may set headers on w
	// (RateLimit, RateLimit-Policy, Retry-After) but writes neither status nor
	// body. Errors carry a ledger.Code; any other error is an internal one.
	Balance(w http.ResponseWriter, r *http.Request, c ledger.Credentials) (*ledger.Holder, error)
}

// root is where every operation is, and the pattern of a request for none of them.
const root = "/MainService.svc/"

// replySize is room for the longest successful reply, so that appending never grows.
const replySize = 144

// operation is one way to ask for a balance.
type operation struct {
	method   string
	path     string // without what follows in the path
	pattern  string // names the operation in logs and metrics, never with a secret
	segments int    // how many may follow in the path
	format   *format
}

var operations = []*operation{
	{http.MethodPost, root + "json/GetBalance_json", "POST " + root + "json/GetBalance_json", 0, formatJSON},
	{http.MethodPost, root + "xml/GetBalance_json", "POST " + root + "xml/GetBalance_json", 0, formatXML},
	{http.MethodGet, root + "json/GetBalance", "GET " + root + "json/GetBalance/{ApiKey}/{SecretKey}", 2, formatJSON},
	{http.MethodGet, root + "xml/GetBalance", "GET " + root + "xml/GetBalance/{ApiKey}/{SecretKey}", 2, formatXML},
}

// Server answers everything under /MainService.svc/ and /mainservice.svc/.
type Server struct {
	balances Balances
	// served has every operation under its two spellings. The provider takes
	// any mixture of cases; these two are what clients send, and a map of them
	// needs no folding.
	served map[string]*operation
}

// Option changes what a Server serves.
type Option func(*Server)

// WithoutSecretsInPaths turns off the GET operations, whose paths carry the
// secret where proxies and browsers write it down.
func WithoutSecretsInPaths() Option {
	return func(s *Server) {
		for path, op := range s.served {
			if op.segments > 0 {
				delete(s.served, path)
			}
		}
	}
}

// NewServer makes a Server that answers from b.
func NewServer(b Balances, options ...Option) *Server {
	s := &Server{balances: b, served: map[string]*operation{}}
	for _, op := range operations {
		s.served[op.path] = op
		s.served[strings.ToLower(op.path)] = op
	}
	for _, option := range options {
		option(s)
	}
	return s
}

// ServeHTTP answers one request. It sets r.Pattern before anything else: the
// access log and the metrics around it name the route by it and so need not
// look at the path, which may hold a secret.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	op, rest := s.find(path)
	if op == nil {
		r.Pattern = root
		fail(w, formatOf(path), CodeNotFound)
		return
	}
	r.Pattern = op.pattern
	if r.Method != op.method {
		w.Header().Set("Allow", op.method)
		fail(w, op.format, CodeMethodNotAllowed)
		return
	}
	credentials, code := op.credentials(w, r, rest)
	if code != CodeSuccess {
		fail(w, op.format, code)
		return
	}
	holder, err := s.balances.Balance(w, r, credentials)
	if err != nil {
		code = codeOf(err)
		if code == CodeRateLimited {
			message.SetRetryAfter(w)
		}
		fail(w, op.format, code)
		return
	}
	body := op.format.appendBalance(make([]byte, 0, replySize), balanceOf(holder))
	message.Send(w, http.StatusOK, op.format.contentType, body)
}

// find splits an escaped path into the operation, nil if it names none, and the
// rest after it. One slash at the end makes no difference.
func (s *Server) find(path string) (op *operation, rest string) {
	end := len(path)
	if i := indexSlash(path, 4); i >= 0 {
		end = i
	}
	op = s.served[path[:end]]
	rest = strings.TrimSuffix(path[end:], "/")
	if op == nil || strings.Count(rest, "/") > op.segments {
		return nil, ""
	}
	return op, rest
}

// indexSlash is where the nth slash of path stands, -1 if there are fewer.
func indexSlash(path string, nth int) int {
	for i := range len(path) {
		if path[i] == '/' {
			if nth--; nth == 0 {
				return i
			}
		}
	}
	return -1
}

// formatOf is the language of the failure for an unknown path.
func formatOf(path string) *format {
	const xml = root + "xml/"
	if strings.HasPrefix(path, xml) || strings.HasPrefix(path, strings.ToLower(xml)) {
		return formatXML
	}
	return formatJSON
}

// credentials reads who asks: from the rest of the path for a GET operation,
// from the body for a POST.
func (op *operation) credentials(w http.ResponseWriter, r *http.Request, rest string) (ledger.Credentials, Code) {
	if op.segments > 0 {
		return decodePath(rest)
	}
	body, err := message.ReadBody(w, r)
	if err != nil {
		return ledger.Credentials{}, CodePayload
	}
	return op.format.decode(body)
}

// decodePath reads /{ApiKey}/{SecretKey}. Each is unescaped on its own, so that
// an escaped slash stays part of the credential that it stands in. What cannot
// be unescaped comes out empty, and so is no credential.
func decodePath(rest string) (ledger.Credentials, Code) {
	escapedID, escapedSecret, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	id, _ := url.PathUnescape(escapedID)
	secret, _ := url.PathUnescape(escapedSecret)
	return pair(id, secret)
}

func fail(w http.ResponseWriter, f *format, code Code) {
	message.Send(w, code.HTTPStatus(), f.contentType, f.appendFailure(nil, code))
}
