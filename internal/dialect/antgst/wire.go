package antgst

import (
	"errors"
	"strconv"

	"github.com/saldo-ledger/saldo/internal/dialect/internal/message"
	"github.com/saldo-ledger/saldo/internal/ledger"
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

// codes is the one table from codes to messages, which are the provider's, and
// to HTTP statuses, which the provider leaves open for all but 200 and -22.
var codes = map[Code]struct {
	message string
	status  int
}{
	CodeSuccess:       {"SUCCESS", 200},
	CodeNoBody:        {"Required request body is missing", 400},
	CodeNotFound:      {"Not Found url error", 404},
	CodeServerError:   {"Something goes wrong with our servers.", 500},
	CodeParamsEmpty:   {"Params can't be empty!", 400},
	CodeJSONFormat:    {"JSON format error!", 400},
	CodeAuthSecret:    {"auth secret error!", 400},
	CodeAccount:       {"Account exception!", 400},
	CodeParamsTooLong: {"Params Too long!", 400},
	CodeParams:        {"Params error!", 400},
	CodeIPWhitelist:   {"Ip whitelist error!", 400},
	CodeRequestLimit:  {"The number has reached the request limit", 429},
	CodeParamsType:    {"Params type error!", 400},

	CodeCountryCode:         {"Unsupported country code", 400},
	CodePhoneNumber:         {"Phone number error!", 400},
	CodeIVRNotFound:         {"IVR does not exist!", 400},
	CodeInsufficientBalance: {"Account balance is insufficient!", 400},
	CodeHLRChannel:          {"HLR channel error!", 400},
	CodeAgentCannotSend:     {"Agent can't send!", 400},
}

// Message is the provider's text for a code, "" for a code that is not in its table.
func (c Code) Message() string { return codes[c].message }

// HTTPStatus is the status of a reply with this code, 500 for a code that is
// not in the table.
func (c Code) HTTPStatus() int {
	if entry, ok := codes[c]; ok {
		return entry.status
	}
	return 500
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
