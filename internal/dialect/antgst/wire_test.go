package antgst

import (
	"encoding/json"
	"math/big"
	"regexp"
	"testing"

	"pgregory.net/rapid"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// TestCodes holds the table against the provider's, spelled out once more, and
// against the text that encoding/json makes of it.
func TestCodes(t *testing.T) {
	t.Parallel()
	want := map[Code]string{
		200: "SUCCESS", 400: "Required request body is missing", 404: "Not Found url error",
		500: "Something goes wrong with our servers.",
		-20: "Params can't be empty!", -21: "JSON format error!", -22: "auth secret error!", -23: "Account exception!",
		-24: "Unsupported country code", -25: "Params Too long!", -26: "Phone number error!", -27: "Params error!",
		-28: "IVR does not exist!", -29: "Ip whitelist error!", -30: "Account balance is insufficient!",
		-31: "HLR channel error!", -32: "The number has reached the request limit", -33: "Params type error!",
		-34: "Agent can't send!",
	}
	if len(codes) != len(want) {
		t.Errorf("%d codes, want %d", len(codes), len(want))
	}
	for code, text := range want {
		if code.Message() != text {
			t.Errorf("%d: message %q, want %q", code, code.Message(), text)
		}
		var reply struct {
			Msg  string
			Code Code
		}
		if err := json.Unmarshal(appendFailure(nil, code), &reply); err != nil || reply.Msg != text || reply.Code != code {
			t.Errorf("%d: reply %s: %v", code, appendFailure(nil, code), err)
		}
	}
	if unknown := Code(1); unknown.Message() != "" || unknown.HTTPStatus() != 500 {
		t.Errorf("unknown code: %q, %d", unknown.Message(), unknown.HTTPStatus())
	}
}

var plainNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)\.([0-9]|[0-9]*[1-9])$`)

// TestNumbersAreExact: whatever the amount, its text is the same number, in
// plain notation, with a digit after the point and no zero too many.
func TestNumbersAreExact(t *testing.T) {
	t.Parallel()
	amounts := rapid.Int64Range(-int64(ledger.MaxAmount), int64(ledger.MaxAmount))
	rapid.Check(t, func(t *rapid.T) {
		sms, voip := amounts.Draw(t, "sms"), amounts.Draw(t, "voip")
		text := appendBalance(nil, balance{sms: ledger.Amount(sms), voip: ledger.Amount(voip), currency: "CNY"})
		var reply struct {
			Msg    string
			Code   Code
			Result struct {
				SMSBalance  json.Number
				VoIPBalance json.Number
				Currency    string
			}
		}
		if err := json.Unmarshal(text, &reply); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if reply.Msg != CodeSuccess.Message() || reply.Code != CodeSuccess || reply.Result.Currency != "CNY" {
			t.Fatalf("not the success of the table: %s", text)
		}
		checkNumber(t, reply.Result.SMSBalance.String(), sms)
		checkNumber(t, reply.Result.VoIPBalance.String(), voip)
	})
}

func checkNumber(t *rapid.T, text string, millionths int64) {
	if !plainNumber.MatchString(text) || text == "-0.0" {
		t.Fatalf("%q is not a plain number", text)
	}
	got, _ := new(big.Rat).SetString(text)
	if want := big.NewRat(millionths, ledger.Scale); got.Cmp(want) != 0 {
		t.Fatalf("%q is not %s", text, want)
	}
}

// FuzzDecode: whatever the body, the decoder agrees with encoding/json on what
// it says, and never panics.
func FuzzDecode(f *testing.F) {
	for _, body := range []string{
		`{"authSecret":"AKIDsecret"}`, `{"authSecret":"\u0041\n\ud83d"}`, "{\"authSecret\":\"\xff\"}", `{"authsecret":"a"}`,
		`{"authSecret":null}`, `{"authSecret":[1]}`, `{"authSecret":1,"authSecret":"b"}`, `{"a":{"authSecret":"c"}}`,
		`{"\u0061uthSecret":"d"}`, `null`, `[]`, ` `, ``, `{}{}`, `{"authSecret":"`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		wantSecret, wantCode := reference(body)
		got, code := decodeRequest(body)
		if code != wantCode || got != (ledger.Credentials{Secret: wantSecret}) {
			t.Errorf("%q: %d %q, want %d %q", body, code, got.Secret, wantCode, wantSecret)
		}
	})
}

// reference decodes with encoding/json alone.
func reference(body []byte) (string, Code) {
	if len(body) == 0 {
		return "", CodeNoBody
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return "", CodeJSONFormat
	}
	var secret *string
	if raw, ok := members["authSecret"]; ok {
		if err := json.Unmarshal(raw, &secret); err != nil {
			return "", CodeParamsType
		}
	}
	switch {
	case secret == nil || *secret == "":
		return "", CodeParamsEmpty
	case len(*secret) > ledger.MaxAuthSecret:
		return "", CodeParamsTooLong
	}
	return *secret, CodeSuccess
}
