package ledger

import (
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Amount is money in millionths of a currency unit: 1.5 CNY is 1_500_000.
//
// It is an integer because a binary float cannot hold most decimal fractions,
// and a rounding error repeated over millions of messages is real money.
// The range is symmetric (math.MinInt64 is never a valid Amount), so negation
// cannot overflow.
type Amount int64

// Scale is how many Amounts make one unit of a currency.
const Scale = 1_000_000

// MaxAmount is the largest Amount, 9223372036854.775807; the smallest is its negative.
const MaxAmount Amount = math.MaxInt64

// maxAmountText bounds the text that ParseAmount looks at. The longest exact
// amount has 21 characters; the rest is room for trailing zeros.
const maxAmountText = 48

// The ways in which text fails to be an Amount, and arithmetic to stay one.
var (
	ErrAmountSyntax    = errors.New("not a decimal number such as 12.5 (no sign +, exponent, spaces or separators)")
	ErrAmountPrecision = errors.New("more than six digits after the decimal point")
	ErrAmountRange     = errors.New("outside ±9223372036854.775807")
)

// ParseAmount reads an exact decimal number in the grammar of a JSON number
// without an exponent: an optional minus, digits without leading zeros, and
// optionally a point with at least one digit after it. Nothing is rounded:
// a seventh digit after the point is an error unless it is zero.
//
// Errors: ErrAmountSyntax ("+1", "1e3", "NaN", " 1", "1.", ".5", "01", ""),
// ErrAmountPrecision ("1.0000001"), ErrAmountRange ("9223372036854.775808").
func ParseAmount(text string) (Amount, error) {
	if len(text) > maxAmountText {
		return 0, ErrAmountSyntax
	}
	digits, negative := strings.CutPrefix(text, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	if !isDigits(whole) || point && !isDigits(fraction) {
		return 0, ErrAmountSyntax
	}
	if len(whole) > 1 && whole[0] == '0' {
		return 0, ErrAmountSyntax
	}
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) > 6 {
		return 0, ErrAmountPrecision
	}
	// The digits are read as one integer of millionths, so the range check of
	// ParseInt is the range check of Amount.
	millionths, err := strconv.ParseInt(whole+fraction+"000000"[len(fraction):], 10, 64)
	if err != nil {
		return 0, ErrAmountRange
	}
	if negative {
		millionths = -millionths
	}
	return Amount(millionths), nil
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// String prints the shortest exact decimal: "100", "0.0383", "-18.383".
// ParseAmount reads it back to the same Amount.
func (a Amount) String() string {
	return string(a.AppendText(nil, 0))
}

// AppendText appends the amount to b in plain notation with at least minFraction
// digits after the point (0 to 6) and no trailing zero beyond them.
func (a Amount) AppendText(b []byte, minFraction int) []byte {
	magnitude := uint64(a)
	if a < 0 {
		b = append(b, '-')
		magnitude = -magnitude
	}
	b = strconv.AppendUint(b, magnitude/Scale, 10)
	fraction := magnitude % Scale
	if fraction == 0 && minFraction == 0 {
		return b
	}
	b = append(b, '.')
	for place := uint64(Scale / 10); place > 0 && (fraction > 0 || minFraction > 0); place /= 10 {
		b = append(b, byte('0'+fraction/place))
		fraction %= place
		minFraction--
	}
	return b
}

// Floor is the amount in whole currency units, rounded toward minus infinity,
// so that a display in whole units never shows more than there is.
func (a Amount) Floor() int64 {
	units := int64(a) / Scale
	if int64(a)%Scale < 0 {
		units--
	}
	return units
}

// Add is a+b, or ErrAmountRange.
func (a Amount) Add(b Amount) (Amount, error) {
	sum := a + b
	// Two's complement wraps exactly when both operands have the sign that the sum lacks.
	if (sum > a) != (b > 0) && b != 0 || sum == math.MinInt64 {
		return 0, ErrAmountRange
	}
	return sum, nil
}

// Sub is a-b, or ErrAmountRange.
func (a Amount) Sub(b Amount) (Amount, error) {
	return a.Add(-b)
}

// Total is a sum over many wallets, exact beyond 64 bits: a hundred thousand
// well-filled wallets in a currency of small units (VND, IDR, IRR) pass them.
// The zero Total is ready to use.
type Total struct{ millionths big.Int }

// Add adds an amount to the total.
func (t *Total) Add(a Amount) {
	t.AddTotal(&Total{*big.NewInt(int64(a))})
}

// AddTotal adds another total. The sum gets memory of its own, because a Total
// may have been copied, and a copy must not change with it.
func (t *Total) AddTotal(o *Total) {
	t.millionths = *new(big.Int).Add(&t.millionths, &o.millionths)
}

// SubTotal takes another total off.
func (t *Total) SubTotal(o *Total) {
	t.millionths = *new(big.Int).Sub(&t.millionths, &o.millionths)
}

// IsZero tells whether the total is exactly zero.
func (t *Total) IsZero() bool { return t.millionths.Sign() == 0 }

// Equal tells whether two totals are the same number.
func (t *Total) Equal(o *Total) bool { return t.millionths.Cmp(&o.millionths) == 0 }

// Millionths is the total as a decimal integer of millionths, the form in
// which stores keep it. ParseTotal reads it back.
func (t *Total) Millionths() string { return t.millionths.String() }

// ParseTotal reads what Millionths wrote.
func ParseTotal(millionths string) (Total, error) {
	var t Total
	if _, ok := t.millionths.SetString(millionths, 10); !ok {
		return Total{}, ErrAmountSyntax
	}
	return t, nil
}

// String prints the total as Amount.String does.
func (t *Total) String() string {
	var units, fraction big.Int
	units.QuoRem(new(big.Int).Abs(&t.millionths), big.NewInt(Scale), &fraction)
	text := units.String()
	if t.millionths.Sign() < 0 {
		text = "-" + text
	}
	if fraction.Sign() == 0 {
		return text
	}
	digits := strconv.FormatInt(Scale+fraction.Int64(), 10)[1:]
	return text + "." + strings.TrimRight(digits, "0")
}
