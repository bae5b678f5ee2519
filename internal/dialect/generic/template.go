package generic

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"github.com/saldo-ledger/saldo/internal/provider"
)

var (
	placeholder = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)
	headerName  = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
)

// Why a secret does not fit into a place.
var (
	errColon   = errors.New("a name with a colon cannot be sent by HTTP Basic")
	errSegment = errors.New("it would lead to another path")
	errControl = errors.New("there is a control character in it")
)

// filler puts secrets into templates.
type filler struct {
	secrets map[string]string
	used    map[string]bool
}

// in fills one template. Escape makes a secret fit, so that no character of it
// can mean anything in that place.
func (f *filler) in(member, template string, escape func(string) (string, error)) (string, error) {
	if strings.Contains(placeholder.ReplaceAllString(template, ""), "${") {
		return "", wrong(member, "a ${ is not followed by a name and a }", "a secret is written ${NAME}")
	}
	var failure error
	filled := placeholder.ReplaceAllStringFunc(template, func(match string) string {
		name := strings.Trim(match, "${}")
		value, ok := f.secrets[name]
		if !ok {
			failure = wrong(member, "there is no secret "+name, "add it to the secrets of this provider")
			return ""
		}
		f.used[name] = true
		escaped, err := escape(value)
		if err != nil {
			failure = wrong(member, fmt.Sprintf("the secret %s does not fit: %v", name, err), "")
		}
		return escaped
	})
	return filled, failure
}

func verbatim(value string) (string, error) { return value, nil }

func headerValue(value string) (string, error) {
	if strings.ContainsFunc(value, unicode.IsControl) {
		return "", errControl
	}
	return value, nil
}

// segment is for a path, where slashes and dots lead elsewhere. Other characters
// are escaped when the URL is written.
func segment(value string) (string, error) {
	if strings.Contains(value, "/") || strings.Trim(value, ".") == "" {
		return "", errSegment
	}
	return value, nil
}

// address fills in the path and the parameters of the URL, and gives its scheme
// and host, which take no secrets: "" where the URL is a path only.
func (s *Settings) address(fill *filler, request *provider.Request) (string, error) {
	target, err := url.Parse(placeholder.ReplaceAllString(s.URL, "x"))
	if err != nil || !strings.HasPrefix(target.Path, "/") || target.RawPath != "" || target.Fragment != "" || target.User != nil {
		return "", wrong("url", "it is no URL that can be asked", "it is https://HOST/PATH, with parameters after a ?; a user and a password belong into basic_auth")
	}
	base := ""
	if target.Host != "" {
		base = target.Scheme + "://" + target.Host
	}
	tail, ok := strings.CutPrefix(s.URL, base)
	if !ok {
		return "", wrong("url", "there is a secret in its host", "secrets belong behind it")
	}
	path, query, _ := strings.Cut(tail, "?")
	if path, err = url.PathUnescape(path); err != nil {
		return "", wrong("url", "its path is badly escaped", "")
	}
	if request.Path, err = fill.in("url", path, segment); err != nil {
		return "", err
	}
	parameters, err := url.ParseQuery(query)
	if err != nil {
		return "", wrong("url", "its parameters are badly escaped", "they are written a=b&c=d")
	}
	for name, values := range parameters {
		for i, value := range values {
			if values[i], err = fill.in("url", value, verbatim); err != nil {
				return "", err
			}
		}
		if strings.Contains(name, "${") {
			return "", wrong("url", "there is a secret in the name of a parameter", "")
		}
	}
	request.Query = parameters
	return base, nil
}

// body fills in the body, by the rules of its content type.
func (s *Settings) body(fill *filler, request *provider.Request) error {
	if s.Body == "" {
		return nil
	}
	if s.Method == http.MethodGet {
		return wrong("body", "GET has none", "set method to POST")
	}
	contentType, _, err := mime.ParseMediaType(request.Header.Get("Content-Type"))
	if err != nil {
		return wrong("body", "its type is not known", "set the header Content-Type, such as application/json")
	}
	escape := verbatim
	switch {
	case contentType == "application/x-www-form-urlencoded":
		escape = func(value string) (string, error) { return url.QueryEscape(value), nil }
	case contentType == "application/json" || strings.HasSuffix(contentType, "+json"):
		escape = jsonText
	case contentType == "application/xml" || contentType == "text/xml" || strings.HasSuffix(contentType, "+xml"):
		escape = func(value string) (string, error) {
			var b strings.Builder
			err := xml.EscapeText(&b, []byte(value))
			return b.String(), err
		}
	}
	body, err := fill.in("body", s.Body, escape)
	if err != nil {
		return err
	}
	request.Body = []byte(body)
	if strings.HasSuffix(contentType, "json") && !json.Valid(request.Body) {
		return wrong("body", "it is no JSON", `a secret is written within quotes: {"key": "${KEY}"}`)
	}
	return nil
}

// jsonText is a value as it is written between the quotes of JSON.
func jsonText(value string) (string, error) {
	quoted, err := json.Marshal(value)
	return string(quoted[1 : len(quoted)-1]), err
}
