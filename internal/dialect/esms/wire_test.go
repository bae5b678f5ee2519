package esms

import (
	"encoding/json"
	"encoding/xml"
	"math/big"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// reply is a reply as the strictest of the public clients decode it.
type reply struct {
	Balance      int64
	CodeResponse string
	UserID       int32
	ErrorMessage string
}

// TestCodes holds the numbers of the table against the provider's, spelled out
// once more, and the two encoders against encoding/json and encoding/xml.
func TestCodes(t *testing.T) {
	t.Parallel()
	numbers := []Code{
		99, 100, 101, 102, 103, 104, 105, 108, 118, 120, 124, 140, 143, 146, 160, 177, 199, 201, 204, 210, 300, 404, 405, 854,
	}
	if len(codes) != len(numbers) {
		t.Errorf("%d codes, want %d", len(codes), len(numbers))
	}
	for _, code := range numbers {
		if _, ok := codes[code]; !ok || (code.Message() == "") != (code == CodeSuccess) {
			t.Errorf("%d: message %q", code, code.Message())
		}
		want := reply{CodeResponse: strconv.Itoa(int(code)), ErrorMessage: code.Message()}
		var got, gotXML reply
		if err := json.Unmarshal(appendFailureJSON(nil, code), &got); err != nil || got != want {
			t.Errorf("%d: %+v, %v", code, got, err)
		}
		if err := xml.Unmarshal(appendFailureXML(nil, code), &gotXML); err != nil || gotXML != want {
			t.Errorf("%d: %+v, %v", code, gotXML, err)
		}
	}
	if unknown := Code(1); unknown.Message() != "" || unknown.HTTPStatus() != 500 {
		t.Errorf("unknown code: %q, %d", unknown.Message(), unknown.HTTPStatus())
	}
}

// TestBalanceIsFloor: whatever the amount, both replies show the whole units in
// it, rounded down, as integers.
func TestBalanceIsFloor(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		millionths := rapid.Int64Range(-int64(ledger.MaxAmount), int64(ledger.MaxAmount)).Draw(t, "millionths")
		id := rapid.Int32Range(1, int32(ledger.MaxAccountID)).Draw(t, "id")
		shown := balanceOf(&ledger.Holder{
			Account: ledger.Account{ID: ledger.AccountID(id)},
			Wallets: []ledger.Wallet{{WalletRef: ledger.WalletRef{Service: ledger.SMS}, Balance: ledger.Amount(millionths)}},
		})
		// Div of math/big rounds down for a positive divisor.
		floor := new(big.Int).Div(big.NewInt(millionths), big.NewInt(ledger.Scale))
		want := reply{Balance: floor.Int64(), CodeResponse: "100", UserID: id}
		var got, gotXML reply
		if err := json.Unmarshal(appendBalanceJSON(nil, shown), &got); err != nil || got != want {
			t.Fatalf("got %+v, %v; want %+v", got, err, want)
		}
		if err := xml.Unmarshal(appendBalanceXML(nil, shown), &gotXML); err != nil || gotXML != want {
			t.Fatalf("got %+v, %v; want %+v", gotXML, err, want)
		}
	})
}

// FuzzDecode: whatever the body, the decoder agrees with encoding/json on what
// it says, and never panics.
func FuzzDecode(f *testing.F) {
	for _, body := range []string{
		`{"ApiKey":"a","SecretKey":"b"}`, `{"SecretKey":"\u0041\ud83d","ApiKey":"\n"}`, `{"apikey":"a","SecretKey":"b"}`,
		`{"ApiKey":null,"SecretKey":"b"}`, `{"ApiKey":1,"ApiKey":"a","SecretKey":"b"}`, `{"ApiKey":[],"SecretKey":{}}`,
		`{"x":{"ApiKey":"a"},"SecretKey":"b"}`, "{\"ApiKey\":\"\xff\",\"SecretKey\":\"b\"}", `null`, `[]`, ``, `{}{}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		want, wantCode := referenceJSON(body)
		got, code := decodeJSON(body)
		if code != wantCode || got != want {
			t.Errorf("%q: %d %q %q, want %d %q %q", body, code, got.ID, got.Secret, wantCode, want.ID, want.Secret)
		}
	})
}

// referenceJSON decodes with encoding/json alone.
func referenceJSON(body []byte) (ledger.Credentials, Code) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return ledger.Credentials{}, CodePayload
	}
	var c ledger.Credentials
	for name, into := range map[string]*string{"ApiKey": &c.ID, "SecretKey": &c.Secret} {
		if raw, ok := members[name]; ok {
			if err := json.Unmarshal(raw, into); err != nil {
				return ledger.Credentials{}, CodePayload
			}
		}
	}
	if c.ID == "" || c.Secret == "" {
		return ledger.Credentials{}, CodeUnauthorized
	}
	return c, CodeSuccess
}

// FuzzDecodeXML: the decoder never panics, and of what it takes, encoding/xml
// reads the same members. The decoder is the stricter of the two.
func FuzzDecodeXML(f *testing.F) {
	for _, body := range []string{
		`<ApiModel><ApiKey>a</ApiKey><SecretKey>b</SecretKey></ApiModel>`, `<?xml version="1.0"?><ApiModel/>`,
		`<ApiModel xmlns="x"><ApiKey>a<!-- c -->b</ApiKey><SecretKey><![CDATA[<]]></SecretKey></ApiModel>`,
		`<ApiModel><Params><ApiKey>a</ApiKey></Params><SecretKey>&lt;&#65;</SecretKey></ApiModel>`,
		`<ApiModel><ApiKey>a</ApiKey><ApiKey/><SecretKey>b</SecretKey></ApiModel>`, `<!DOCTYPE a><ApiModel/>`, ``, `{}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, code := decodeXML(body)
		if code != CodeSuccess {
			if got != (ledger.Credentials{}) {
				t.Errorf("%q: credentials beside code %d", body, code)
			}
			return
		}
		var want struct {
			XMLName   xml.Name `xml:"ApiModel"`
			ApiKey    string
			SecretKey string
		}
		if err := xml.Unmarshal(body, &want); err != nil || got.ID != want.ApiKey || got.Secret != want.SecretKey {
			t.Errorf("%q: %q %q, encoding/xml reads %q %q, %v", body, got.ID, got.Secret, want.ApiKey, want.SecretKey, err)
		}
	})
}
