package provider

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// decimals is what ParseAmount reads, as long as it is within the bounds.
var decimals = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$`)

func rat(t interface{ Fatalf(string, ...any) }, text string) *big.Rat {
	value, ok := new(big.Rat).SetString(text)
	if !ok {
		t.Fatalf("math/big does not read %q", text)
	}
	return value
}

// TestAmountsAreExact: whatever the digits and the notation, the amount is the
// very number, and its text is the same number again.
func TestAmountsAreExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{"", "-"}).Draw(t, "sign") + rapid.StringMatching(`(0|[1-9][0-9]{0,28})`).Draw(t, "whole")
		if fraction := rapid.StringMatching(`[0-9]{0,60}`).Draw(t, "fraction"); fraction != "" {
			text += "." + fraction
		}
		if rapid.Bool().Draw(t, "scientific") {
			text += rapid.SampledFrom([]string{"e", "E", "e+", "E-"}).Draw(t, "e") + strconv.Itoa(rapid.IntRange(0, maxExponent).Draw(t, "exponent"))
		}
		want := rat(t, text)
		amount, err := ParseAmount(text)
		if err != nil || amount.Rat().Cmp(want) != 0 {
			t.Fatalf("%s is read as %s, %v", text, amount, err)
		}
		if rat(t, amount.String()).Cmp(want) != 0 {
			t.Fatalf("%s is written as %s", text, amount)
		}
		for _, document := range []string{text, `"` + text + `"`, `" ` + text + `\n"`} {
			var read Amount
			if err := json.Unmarshal([]byte(document), &read); err != nil || !read.Valid || read.Value.Rat().Cmp(want) != 0 {
				t.Fatalf("%s in JSON is read as %+v, %v", document, read, err)
			}
		}
	})
}

func TestParseAmount(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0": "0", "-0.0": "0", "-18.383": "-18.383", "36693": "36693", "1.26743233E+15": "1267432330000000", "+7": "7", ".5": "0.5", "5.": "5",
		" 12.50\r\n": "12.5", "0.1": "0.1", "9007199254740993": "9007199254740993", "1e-40": "0." + strings.Repeat("0", 39) + "1",
		"1e40": "1" + strings.Repeat("0", 40), "1.5e-40": "0." + strings.Repeat("0", 39) + "15", strings.Repeat("9", maxText): strings.Repeat("9", maxText),
		// What Java makes of doubles that are taken for decimals.
		"18.382999999999999118927007657475769519805908203125":                   "18.382999999999999118927007657475769519805908203125",
		"0.1000000000000000055511151231257827021181583404541015625":             "0.1000000000000000055511151231257827021181583404541015625",
		"5.684341886080801486968994140625E-14":                                  "0.00000000000005684341886080801486968994140625",
		new(big.Float).SetFloat64(-math.SmallestNonzeroFloat64).Text('f', 1074): new(big.Float).SetFloat64(-math.SmallestNonzeroFloat64).Text('f', 1074),
	} {
		if got, err := ParseAmount(text); err != nil || got.String() != want {
			t.Errorf("%q is %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", " ", "\n", "NaN", "nan", "Infinity", "-Inf", "0x10", "0b1", "1_000", "1,000", "1 000", "1.2.3", "--1", "+-1", "-", "+", ".", "-.", ".-5", ".+5", "1-", "1+1",
		"e", "e5", "1e", "1e+", "1e5.5", "1e5e5", "1/2", "½", "٣", "\u22125", "5\u00a0000", "$5", "5 USD", "true", "null", "\x005",
		"1E+999999999", "1E-999999999", "-1e+2147483648", "1e99999999999999999999", "1e41", "1e-41",
		"1e-9223372036854775808", "0e41", strings.Repeat("9", maxText+1),
	} {
		if got, err := ParseAmount(text); !errors.Is(err, ErrNotAmount) || !got.IsZero() {
			t.Errorf("%q is %s, %v", text, got, err)
		}
	}
}

func TestAmountInJSON(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]string{
		`{}`: "", `{"a":null}`: "", `{"a":0}`: "0", `{"a":"0"}`: "0", `{"a":-0.10}`: "-0.1", `{"a":"\u0031.5\n"}`: "1.5", `{"a":1,"a":null}`: "",
	} {
		var reply struct{ A Amount }
		err := json.Unmarshal([]byte(document), &reply)
		got := ""
		if pointer := reply.A.Pointer(); pointer != nil {
			got = pointer.String()
		}
		if err != nil || got != want || reply.A.Valid != (want != "") {
			t.Errorf("%s: %q, %v, want %q", document, got, err, want)
		}
	}
	for _, document := range []string{`true`, `[]`, `[1]`, `{}`, `""`, `" "`, `"null"`, `"NaN"`, `"0x1"`, `1E+999999999`, `"1E+999999999"`, `"1 2"`} {
		read := Amount{Valid: true}
		if err := json.Unmarshal([]byte(document), &read); err == nil || read.Valid || read.Pointer() != nil {
			t.Errorf("%s: %+v, %v", document, read, err)
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]Text{
		`null`: "", `""`: "", `"100"`: "100", `100`: "100", `-22`: "-22", `1.50`: "1.50", `12345678901234567890123`: "12345678901234567890123", `"\u0061"`: "a",
	} {
		text := Text("before")
		if err := json.Unmarshal([]byte(document), &text); err != nil || text != want {
			t.Errorf("%s: %q, %v", document, text, err)
		}
	}
	for _, document := range []string{`true`, `[]`, `{}`, `["a"]`} {
		var text Text
		if err := json.Unmarshal([]byte(document), &text); err == nil {
			t.Errorf("%s: %q", document, text)
		}
	}
}

// FuzzParseAmount: what is read is the number that math/big reads, and short in
// writing; what is refused is no decimal number, or out of bounds.
func FuzzParseAmount(f *testing.F) {
	for _, text := range []string{"-18.383", "1.26743233E+15", " 7\n", ".5", "5.", ".-5", "1E+999999999", "NaN", "0x1p4", "1_0", "0e41", "−5", "00012", "1e-40"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		amount, err := ParseAmount(text)
		text = strings.TrimSpace(text)
		if err == nil {
			if rat(t, text).Cmp(amount.Rat()) != 0 || len(amount.String()) > maxText+maxExponent+3 {
				t.Errorf("%q is read as %s", text, amount)
			}
			return
		}
		if !decimals.MatchString(text) || len(text) > maxText {
			return
		}
		_, power, _ := strings.Cut(strings.ToLower(text), "e")
		exponent, _ := new(big.Int).SetString("0"+strings.TrimLeft(power, "+-"), 10)
		if exponent.CmpAbs(big.NewInt(maxExponent)) <= 0 {
			t.Errorf("%q is refused", text)
		}
	})
}
