package esms

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strconv"

	"github.com/saldo-ledger/saldo/internal/dialect/internal/message"
	"github.com/saldo-ledger/saldo/internal/dialect/internal/rest"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// Code is the outcome that a reply carries, in quotes, as its CodeResponse.
type Code int

// The codes of the provider's table. Saldo's server sends the first group, of
// which 404 and 405 are its own; the second belongs to sending and is here for
// whoever reads the provider's replies. 99 has its meaning of before 2022: since
// then the provider also says it of a blocked phone number, which no balance
// request has.
const (
	CodeSuccess          Code = 100
	CodeInternal         Code = 99
	CodeUnauthorized     Code = 101
	CodeIPDenied         Code = 140
	CodeAccountNotActive Code = 143
	CodeRateLimited      Code = 160
	CodePayload          Code = 210
	CodeNotFound         Code = 404
	CodeMethodNotAllowed Code = 405

	CodeNoPriceList         Code = 102
	CodeInsufficientBalance Code = 103
	CodeNoBrandname         Code = 104
	CodeMessageNotFound     Code = 105
	CodePhoneNumber         Code = 108
	CodeMessageType         Code = 118
	CodeTooManyNumbers      Code = 120
	CodeDuplicateRequestID  Code = 124
	CodeTemplate            Code = 146
	CodeNetwork             Code = 177
	CodeRequestExists       Code = 199
	CodeBlockedKeyword      Code = 201
	CodeNoOA                Code = 204
	CodeNoMessageType       Code = 300
	CodeNoData              Code = 854
)

// codes is the one table from codes to messages; to HTTP statuses, most of which
// are 200, because the provider's clients throw on others before they read
// CodeResponse; and to what a code means for whoever asked for a balance. A code
// of sending says there that the request was taken for another one, but 102,
// which before 2022 stood for a locked account.
var codes = map[Code]struct {
	message string
	http    int
	status  provider.Status
}{
	CodeSuccess:          {"", 200, provider.OK},
	CodeInternal:         {"Internal error, try again later", 500, provider.ProviderError},
	CodeUnauthorized:     {"Authorize Failed", 200, provider.Unauthorized},
	CodeIPDenied:         {"IP is not whitelisted", 200, provider.IPDenied},
	CodeAccountNotActive: {"Account is not active or locked", 200, provider.Suspended},
	CodeRateLimited:      {"Exceed TPS", 429, provider.RateLimited},
	CodePayload:          {"Incorrect payload", 400, provider.InvalidRequest},
	CodeNotFound:         {"Unknown operation", 404, provider.InvalidRequest},
	CodeMethodNotAllowed: {"Method not allowed", 405, provider.InvalidRequest},

	CodeNoPriceList:         {"Account locked, or no price list", 200, provider.Suspended},
	CodeInsufficientBalance: {"Not enough balance to send", 200, provider.InvalidRequest},
	CodeNoBrandname:         {"Brandname does not exist", 200, provider.InvalidRequest},
	CodeMessageNotFound:     {"Message not found", 200, provider.InvalidRequest},
	CodePhoneNumber:         {"Phone number format is wrong", 200, provider.InvalidRequest},
	CodeMessageType:         {"Unsupported message type", 200, provider.InvalidRequest},
	CodeTooManyNumbers:      {"Number list is over the limit", 200, provider.InvalidRequest},
	CodeDuplicateRequestID:  {"Duplicate RequestId", 200, provider.InvalidRequest},
	CodeTemplate:            {"Wrong template", 200, provider.InvalidRequest},
	CodeNetwork:             {"Network is not registered", 200, provider.InvalidRequest},
	CodeRequestExists:       {"Request already exists", 200, provider.InvalidRequest},
	CodeBlockedKeyword:      {"Blocked keyword", 200, provider.InvalidRequest},
	CodeNoOA:                {"OAID does not exist", 200, provider.InvalidRequest},
	CodeNoMessageType:       {"Missing message type", 200, provider.InvalidRequest},
	CodeNoData:              {"No data", 200, provider.InvalidRequest},
}

// Message is the text for a code, "" for success and for a code that is not in the table.
func (c Code) Message() string { return codes[c].message }

// HTTPStatus is the status of a reply with this code, 500 for a code that is
// not in the table.
func (c Code) HTTPStatus() int {
	if entry, ok := codes[c]; ok {
		return entry.http
	}
	return 500
}

// failure is what a code means for whoever asked for a balance. The message is
// that of the table: one in a reply may hold what was sent, the secret with it.
// Of a code that is not in the table, the provider is known to have refused.
func (c Code) failure() *provider.Error {
	entry, ok := codes[c]
	if !ok {
		entry.status, entry.message = provider.ProviderError, "a code that its documentation does not have"
	}
	return &provider.Error{Status: entry.status, Code: strconv.Itoa(int(c)), Message: entry.message}
}

// codeOf says in the dialect's words why the ledger refused. What has no word
// here is an internal error, because a caller must not take the 0 for a balance.
func codeOf(err error) Code {
	switch ledger.CodeOf(err) {
	case ledger.Unauthorized, ledger.Forbidden:
		return CodeUnauthorized
	case ledger.IPDenied:
		return CodeIPDenied
	case ledger.AccountNotActive:
		return CodeAccountNotActive
	case ledger.RateLimited:
		return CodeRateLimited
	default:
		return CodeInternal
	}
}

// format is one of the two languages in which the provider answers.
type format struct {
	contentType   string
	decode        func(body []byte) (ledger.Credentials, Code)
	appendBalance func(b []byte, result balance) []byte
	appendFailure func(b []byte, code Code) []byte
}

var (
	formatJSON = &format{"application/json; charset=utf-8", decodeJSON, appendBalanceJSON, appendFailureJSON}
	formatXML  = &format{"application/xml; charset=utf-8", decodeXML, appendBalanceXML, appendFailureXML}
)

// pair makes credentials of the two parts. Both must be there: with an empty ID
// the ledger would take the secret for both in one.
func pair(id, secret string) (ledger.Credentials, Code) {
	if id == "" || secret == "" {
		return ledger.Credentials{}, CodeUnauthorized
	}
	return ledger.Credentials{ID: id, Secret: secret}, CodeSuccess
}

// decodeJSON reads {"ApiKey":"...","SecretKey":"..."}; the code is CodeSuccess
// or says what is wrong.
func decodeJSON(body []byte) (ledger.Credentials, Code) {
	object, err := message.ParseObject(body)
	if err != nil {
		return ledger.Credentials{}, CodePayload
	}
	id, idErr := object.Text("ApiKey")
	secret, secretErr := object.Text("SecretKey")
	if idErr != nil || secretErr != nil {
		return ledger.Credentials{}, CodePayload
	}
	return pair(id, secret)
}

// decodeXML reads <ApiModel><ApiKey>...</ApiKey><SecretKey>...</SecretKey></ApiModel>
// by the rules of decodeJSON: other members are ignored, the last of two counts.
func decodeXML(body []byte) (ledger.Credentials, Code) {
	members := map[string]string{"ApiKey": "", "SecretKey": ""}
	if err := readModel(body, members); err != nil {
		return ledger.Credentials{}, CodePayload
	}
	return pair(members["ApiKey"], members["SecretKey"])
}

var errNotModel = errors.New("the body is not one ApiModel document")

// readModel fills in the members that are asked for from a document with the
// one root ApiModel. Namespaces are ignored, because clients differ in them. A
// document type is refused: it could only bring entities, which nobody needs.
func readModel(body []byte, members map[string]string) error {
	// XML lets a document begin with a byte order mark, and .NET writes one.
	d := xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\ufeff"))))
	var (
		rooted bool
		depth  int
		member string // that is open at depth 2 or around something deeper
	)
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && rooted {
			return nil
		}
		if err != nil {
			return errNotModel
		}
		_, asked := members[member]
		switch token := token.(type) {
		case xml.StartElement:
			switch {
			case depth == 0 && (rooted || token.Name.Local != "ApiModel"), depth > 1 && asked:
				return errNotModel
			case depth == 1:
				member = token.Name.Local
				if _, asked = members[member]; asked {
					members[member] = ""
				}
			}
			rooted = true
			depth++
		case xml.EndElement:
			depth--
		case xml.CharData:
			switch {
			case depth < 2 && len(bytes.Trim(token, " \t\r\n")) > 0:
				return errNotModel
			case depth > 1 && asked:
				members[member] += string(token)
			}
		case xml.Directive:
			return errNotModel
		}
	}
}

// balance is what the dialect shows of an account, in whole units of its currency.
type balance struct {
	units  int64
	userID ledger.AccountID
}

// balanceOf picks the provider's main balance, which is the wallet for SMS. A
// fraction is rounded down, so that nobody is shown money that is not there.
func balanceOf(h *ledger.Holder) balance {
	result := balance{userID: h.ID}
	if wallet, ok := h.Wallet(ledger.SMS); ok {
		result.units = wallet.Shown().Floor()
	}
	return result
}

// appendBalanceJSON appends a successful reply. Clients decode both numbers
// into integers and the code into a string, and fail on anything else.
func appendBalanceJSON(b []byte, result balance) []byte {
	b = append(b, `{"Balance":`...)
	b = strconv.AppendInt(b, result.units, 10)
	b = append(b, `,"CodeResponse":"100","UserID":`...)
	b = strconv.AppendInt(b, int64(result.userID), 10)
	return append(b, '}')
}

// appendFailureJSON appends a reply without a UserID. The messages of the table
// need no escapes, in JSON as in XML.
func appendFailureJSON(b []byte, code Code) []byte {
	b = append(b, `{"Balance":0,"CodeResponse":"`...)
	b = strconv.AppendInt(b, int64(code), 10)
	b = append(b, `","ErrorMessage":"`...)
	b = append(b, code.Message()...)
	return append(b, `"}`...)
}

// appendBalanceXML is appendBalanceJSON in XML, with the provider's own order of elements.
func appendBalanceXML(b []byte, result balance) []byte {
	b = append(b, `<MemberModel><Balance>`...)
	b = strconv.AppendInt(b, result.units, 10)
	b = append(b, `</Balance><UserID>`...)
	b = strconv.AppendInt(b, int64(result.userID), 10)
	return append(b, `</UserID><CodeResponse>100</CodeResponse></MemberModel>`...)
}

// appendFailureXML is appendFailureJSON in XML.
func appendFailureXML(b []byte, code Code) []byte {
	b = append(b, `<MemberModel><Balance>0</Balance><ErrorMessage>`...)
	b = append(b, code.Message()...)
	b = append(b, `</ErrorMessage><CodeResponse>`...)
	b = strconv.AppendInt(b, int64(code), 10)
	return append(b, `</CodeResponse></MemberModel>`...)
}

// encodeRequest makes the request that decodeJSON reads.
func encodeRequest(apiKey, secretKey string) []byte {
	body, _ := json.Marshal(map[string]string{"ApiKey": apiKey, "SecretKey": secretKey}) //nolint:errchkjson // Strings can always be encoded.
	return body
}

// maxUserID bounds the name of an account in a reply. The real ones are numbers.
const maxUserID = 64

// decodeReply reads what is left, or says why that is not to be had. Where there
// is a CodeResponse, it decides: beside a failure stands a Balance of 0, which is none.
func decodeReply(reply *provider.Reply) (*provider.Balance, error) {
	object, code, err := rest.Coded(reply, "CodeResponse")
	if err != nil {
		return nil, err
	}
	if Code(code) != CodeSuccess {
		return nil, Code(code).failure()
	}
	var (
		amount provider.Amount
		userID provider.Text
	)
	switch {
	case object.Decode("Balance", &amount) != nil:
		return nil, rest.Unreadable()
	case !amount.Valid:
		return nil, provider.Errorf(provider.Malformed, "success without an amount")
	}
	if err := object.Decode("UserID", &userID); err != nil || len(userID) > maxUserID {
		return nil, provider.Errorf(provider.Malformed, "the UserID is neither a number nor a short text")
	}
	if userID == "0" {
		userID = "" // The provider's programs write 0 for a number that they do not have.
	}
	return &provider.Balance{Account: string(userID), Buckets: []provider.Bucket{{
		Service: "main", Unit: provider.Money, Amount: amount.Value,
		Currency: "VND", CurrencySource: provider.FromDocumentation,
	}}}, nil
}
