package sqlrow

import (
	"fmt"

	"github.com/shopspring/decimal"
)

// Decimals stand in columns of text, for no database's number keeps all of what
// a provider wrote: any count of digits, and zeros at the end.

// DecimalText is the column of a decimal. It keeps every digit, and the exponent
// as it is.
func DecimalText(d decimal.Decimal) string {
	if d.Exponent() <= 0 {
		return d.StringFixed(-d.Exponent())
	}
	return fmt.Sprintf("%sE%d", d.Coefficient(), d.Exponent())
}

// ParseDecimal reads what DecimalText wrote.
func ParseDecimal(text string) (decimal.Decimal, error) {
	d, err := decimal.NewFromString(text)
	if err != nil {
		return decimal.Decimal{}, fmt.Errorf("a column has %q where a decimal belongs: %w", text, err)
	}
	return d, nil
}

// NullDecimal is the column of a decimal that may be absent: nil, which is NULL.
func NullDecimal(d *decimal.Decimal) *string {
	if d == nil {
		return nil
	}
	text := DecimalText(*d)
	return &text
}

// ParseNullDecimal reads what NullDecimal wrote.
func ParseNullDecimal(text *string) (*decimal.Decimal, error) {
	if text == nil {
		return nil, nil
	}
	d, err := ParseDecimal(*text)
	if err != nil {
		return nil, err
	}
	return &d, nil
}
