package provider

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
)

// Bounds on the text of an amount. Some providers write the exact value of a
// double, which takes up to 1077 characters. A number such as 1E+999999999 is
// short, and would be written out with a billion digits.
const (
	maxText     = 1100
	maxExponent = 40
)

// ErrNotAmount says that a text is no decimal number within the bounds.
var ErrNotAmount = errors.New("an amount that cannot be read")

// ParseAmount reads a decimal number exactly: "-18.383", "36693", "1.26743233E+15",
// with spaces or a line break around it, which providers leave there.
func ParseAmount(text string) (decimal.Decimal, error) {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > maxText || strings.Trim(text, "+-.0123456789eE") != "" {
		return decimal.Decimal{}, ErrNotAmount
	}
	if e := strings.IndexAny(text, "eE"); e >= 0 {
		if exponent, err := strconv.Atoi(text[e+1:]); err != nil || max(exponent, -exponent) > maxExponent {
			return decimal.Decimal{}, ErrNotAmount
		}
	}
	amount, err := decimal.NewFromString(text)
	if err != nil {
		return decimal.Decimal{}, ErrNotAmount
	}
	return amount, nil
}

// Amount is an amount in JSON: a number or a string, as ParseAmount reads it. It
// never passes through a float. Absent and null leave it without a value.
type Amount struct {
	Value decimal.Decimal
	Valid bool
}

// UnmarshalJSON reads a number, a string, or null.
func (a *Amount) UnmarshalJSON(data []byte) error {
	*a = Amount{}
	text := string(data)
	if text == "null" {
		return nil
	}
	if data[0] == '"' {
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
	}
	value, err := ParseAmount(text)
	*a = Amount{Value: value, Valid: err == nil}
	return err
}

// Pointer is the amount as a Bucket keeps what may be absent.
func (a Amount) Pointer() *decimal.Decimal {
	if !a.Valid {
		return nil
	}
	return &a.Value
}

// Text is a member that some replies have as a string and others as a number,
// such as a code or an account's id. Absent and null are "".
type Text string

// UnmarshalJSON reads a string, a number, or null.
func (t *Text) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*t = ""
		return nil
	}
	if data[0] == '"' {
		return json.Unmarshal(data, (*string)(t))
	}
	var number json.Number
	err := json.Unmarshal(data, &number)
	*t = Text(number)
	return err
}
