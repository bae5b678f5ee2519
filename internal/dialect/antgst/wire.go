package antgst

import (
	"encoding/json"
	"errors"
	"strconv"

	"github.com/saldo-ledger/saldo/internal/dialect/internal/message"
	"github.com/saldo-ledger/saldo/internal/dialect/internal/rest"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// Path is where a balance is asked for, with POST.
const Path = "/user/account/balance"

const contentType = "application/json"

// Code is the outcome that a reply carries in its member "code".
type Code int

// The codes of the provider's table. Saldo's server sends the first group; the
// second belongs to sending and is here for whoever reads the provider's replies.
const (
	CodeSuccess       Code = 200
	CodeNoBody        Code = 400
	CodeNotFound      Code = 404
	CodeServerError   Code = 500
	CodeParamsEmpty   Code = -20
	CodeJSONFormat    Code = -21
	CodeAuthSecret    Code = -22
	CodeAccount       Code = -23
	CodeParamsTooLong Code = -25
	CodeParams        Code = -27
	CodeIPWhitelist   Code = -29
	CodeRequestLimit  Code = -32
	CodeParamsType    Code = -33

	CodeCountryCode         Code = -24
	CodePhoneNumber         Code = -26
	CodeIVRNotFound         Code = -28
	CodeInsufficientBalance Code = -30
	CodeHLRChannel          Code = -31
	CodeAgentCannotSend     Code = -34
)

// codes is the one table from codes to messages, which are the provider's; to
// HTTP statuses, which the provider leaves open for all but 200 and -22; and to
// what a code means for whoever asked for a balance. A code of sending says there
// that the request was taken for another one.
var codes = map[Code]struct {
	message string
	http    int
	status  provider.Status
}{
	CodeSuccess:       {"SUCCESS", 200, provider.OK},
	CodeNoBody:        {"Required request body is missing", 400, provider.InvalidRequest},
	CodeNotFound:      {"Not Found url error", 404, provider.InvalidRequest},
	CodeServerError:   {"Something goes wrong with our servers.", 500, provider.ProviderError},
	CodeParamsEmpty:   {"Params can't be empty!", 400, provider.InvalidRequest},
	CodeJSONFormat:    {"JSON format error!", 400, provider.InvalidRequest},
	CodeAuthSecret:    {"auth secret error!", 400, provider.Unauthorized},
	CodeAccount:       {"Account exception!", 400, provider.Suspended},
	CodeParamsTooLong: {"Params Too long!", 400, provider.InvalidRequest},
	CodeParams:        {"Params error!", 400, provider.InvalidRequest},
	CodeIPWhitelist:   {"Ip whitelist error!", 400, provider.IPDenied},
	CodeRequestLimit:  {"The number has reached the request limit", 429, provider.RateLimited},
	CodeParamsType:    {"Params type error!", 400, provider.InvalidRequest},

	CodeCountryCode:         {"Unsupported country code", 400, provider.InvalidRequest},
	CodePhoneNumber:         {"Phone number error!", 400, provider.InvalidRequest},
	CodeIVRNotFound:         {"IVR does not exist!", 400, provider.InvalidRequest},
	CodeInsufficientBalance: {"Account balance is insufficient!", 400, provider.InvalidRequest},
	CodeHLRChannel:          {"HLR channel error!", 400, provider.ProviderError},
	CodeAgentCannotSend:     {"Agent can't send!", 400, provider.InvalidRequest},
}

// Message is the provider's text for a code, "" for a code that is not in its table.
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
// here is a server error, because a caller must not take it for an answer.
func codeOf(err error) Code {
	switch ledger.CodeOf(err) {
	case ledger.Unauthorized, ledger.Forbidden:
		return CodeAuthSecret
	case ledger.IPDenied:
		return CodeIPWhitelist
	case ledger.AccountNotActive:
		return CodeAccount
	case ledger.RateLimited:
		return CodeRequestLimit
	default:
		return CodeServerError
	}
}

// decodeRequest reads {"authSecret":"..."}; the code is CodeSuccess or says
// what is wrong. The secret holds id and secret unbroken, so the ID stays empty.
func decodeRequest(body []byte) (ledger.Credentials, Code) {
	if len(body) == 0 {
		return ledger.Credentials{}, CodeNoBody
	}
	object, err := message.ParseObject(body)
	if err != nil {
		return ledger.Credentials{}, CodeJSONFormat
	}
	secret, err := object.Text("authSecret")
	switch {
	case errors.Is(err, message.ErrNotText):
		return ledger.Credentials{}, CodeParamsType
	case secret == "":
		return ledger.Credentials{}, CodeParamsEmpty
	case len(secret) > ledger.MaxAuthSecret:
		return ledger.Credentials{}, CodeParamsTooLong
	}
	return ledger.Credentials{Secret: secret}, CodeSuccess
}

// balance is the result of a successful reply.
type balance struct {
	sms, voip ledger.Amount
	currency  string // ISO 4217: three capitals, nothing that JSON would escape
}

// balanceOf picks what the dialect shows of an account; a wallet that the
// account does not have is worth 0.
func balanceOf(h *ledger.Holder) balance {
	shown := func(service ledger.Service) ledger.Amount {
		if wallet, ok := h.Wallet(service); ok {
			return wallet.Shown()
		}
		return 0
	}
	return balance{sms: shown(ledger.SMS), voip: shown(ledger.VoIP), currency: h.Currency}
}

// appendBalance appends a successful reply. The order of the members and the
// digit after the point of a whole number are part of the contract, which is
// more than encoding/json promises.
func appendBalance(b []byte, result balance) []byte {
	b = append(b, `{"msg":"SUCCESS","code":200,"result":{"smsBalance":`...)
	b = result.sms.AppendText(b, 1)
	b = append(b, `,"voipBalance":`...)
	b = result.voip.AppendText(b, 1)
	b = append(b, `,"currency":"`...)
	b = append(b, result.currency...)
	return append(b, `"}}`...)
}

// appendFailure appends a reply without a result. The messages of the table
// need no escapes.
func appendFailure(b []byte, code Code) []byte {
	b = append(b, `{"msg":"`...)
	b = append(b, code.Message()...)
	b = append(b, `","code":`...)
	b = strconv.AppendInt(b, int64(code), 10)
	return append(b, '}')
}

// encodeRequest makes the request that decodeRequest reads.
func encodeRequest(authSecret string) []byte {
	body, _ := json.Marshal(map[string]string{"authSecret": authSecret}) //nolint:errchkjson // Strings can always be encoded.
	return body
}

// decodeReply reads what is left, or says why that is not to be had. Where there
// is a code in the body, it decides, and not the HTTP status.
func decodeReply(reply *provider.Reply) (*provider.Balance, error) {
	object, code, err := rest.Coded(reply, "code")
	if err != nil {
		return nil, err
	}
	if Code(code) != CodeSuccess {
		return nil, Code(code).failure()
	}
	var result json.RawMessage
	_ = object.Decode("result", &result) // Any value is a RawMessage.
	return decodeResult(result)
}

// decodeResult reads the two amounts. Both must be there: a wallet that drops
// out of a reply is not empty, and not watched either.
func decodeResult(text json.RawMessage) (*provider.Balance, error) {
	// Some of the provider's operations put their result into a list.
	var list []json.RawMessage
	if err := json.Unmarshal(text, &list); err == nil && len(list) == 1 {
		text = list[0]
	}
	result, err := message.ParseObject(text)
	if err != nil {
		return nil, provider.Errorf(provider.Malformed, "success without a result")
	}
	var (
		sms, voip provider.Amount
		currency  string
	)
	switch {
	case errors.Join(result.Decode("smsBalance", &sms), result.Decode("voipBalance", &voip)) != nil:
		return nil, rest.Unreadable()
	case !sms.Valid || !voip.Valid:
		return nil, provider.Errorf(provider.Malformed, "success without both amounts")
	case result.Decode("currency", &currency) != nil:
		return nil, provider.Errorf(provider.Malformed, "the currency is no text")
	}
	bucket := provider.Bucket{Unit: provider.Money}
	// An amount in a currency that nobody knows is still worth watching.
	if code, source, err := rest.Currency(currency); err == nil {
		bucket.Currency, bucket.CurrencySource = code, source
	}
	buckets := []provider.Bucket{bucket, bucket}
	buckets[0].Service, buckets[0].Amount = string(ledger.SMS), sms.Value
	buckets[1].Service, buckets[1].Amount = string(ledger.VoIP), voip.Value
	return &provider.Balance{Buckets: buckets}, nil
}
