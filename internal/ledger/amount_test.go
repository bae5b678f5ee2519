package ledger_test

import (
	"errors"
	"math"
	"math/big"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

func TestParseAmount(t *testing.T) {
	t.Parallel()
	const highest = ledger.MaxAmount
	tests := []struct {
		text string
		want ledger.Amount
		err  error
	}{
		{"0", 0, nil},
		{"1", 1_000_000, nil},
		{"1.5", 1_500_000, nil},
		{"-18.383", -18_383_000, nil},
		{"0.0383", 38_300, nil},
		{"0.000001", 1, nil},
		{"-0.000001", -1, nil},
		{"100", 100_000_000, nil},
		{"10.10", 10_100_000, nil},
		// There is one zero: "-0" is JSON, and must not become a second one.
		{"-0", 0, nil},
		{"-0.0", 0, nil},
		{"0.000000", 0, nil},
		// Zeros beyond the sixth digit lose nothing.
		{"1.0000000", 1_000_000, nil},
		{"1.2345670", 1_234_567, nil},
		{"0." + strings.Repeat("0", 46), 0, nil},
		// The ends of the range.
		{"9223372036854.775807", highest, nil},
		{"9223372036854.7758070", highest, nil},
		{"-9223372036854.775807", -highest, nil},

		// A sign, exponent, name, space or separator that a laxer parser takes.
		{"+1", 0, ledger.ErrAmountSyntax},
		{"+0", 0, ledger.ErrAmountSyntax},
		{"--1", 0, ledger.ErrAmountSyntax},
		{"-+1", 0, ledger.ErrAmountSyntax},
		{"1-", 0, ledger.ErrAmountSyntax},
		{"1e3", 0, ledger.ErrAmountSyntax},
		{"1E3", 0, ledger.ErrAmountSyntax},
		{"1.5e0", 0, ledger.ErrAmountSyntax},
		{"0x10", 0, ledger.ErrAmountSyntax},
		{"1p3", 0, ledger.ErrAmountSyntax},
		{"NaN", 0, ledger.ErrAmountSyntax},
		{"nan", 0, ledger.ErrAmountSyntax},
		{"Inf", 0, ledger.ErrAmountSyntax},
		{"-Infinity", 0, ledger.ErrAmountSyntax},
		{"null", 0, ledger.ErrAmountSyntax},
		{`"1"`, 0, ledger.ErrAmountSyntax},
		{" 1", 0, ledger.ErrAmountSyntax},
		{"1 ", 0, ledger.ErrAmountSyntax},
		{"- 1", 0, ledger.ErrAmountSyntax},
		{"1\n", 0, ledger.ErrAmountSyntax},
		{"\t1", 0, ledger.ErrAmountSyntax},
		{"1\x00", 0, ledger.ErrAmountSyntax},
		{"1,5", 0, ledger.ErrAmountSyntax},
		{"1,000", 0, ledger.ErrAmountSyntax},
		{"1_000", 0, ledger.ErrAmountSyntax},
		{"1'000", 0, ledger.ErrAmountSyntax},
		{"1/2", 0, ledger.ErrAmountSyntax},
		{"1:0", 0, ledger.ErrAmountSyntax},
		{"¥1", 0, ledger.ErrAmountSyntax},
		{"(1)", 0, ledger.ErrAmountSyntax},
		// Missing and surplus digits and points.
		{"", 0, ledger.ErrAmountSyntax},
		{"-", 0, ledger.ErrAmountSyntax},
		{".", 0, ledger.ErrAmountSyntax},
		{"-.", 0, ledger.ErrAmountSyntax},
		{"1.", 0, ledger.ErrAmountSyntax},
		{"0.", 0, ledger.ErrAmountSyntax},
		{".5", 0, ledger.ErrAmountSyntax},
		{"-.5", 0, ledger.ErrAmountSyntax},
		{"1..5", 0, ledger.ErrAmountSyntax},
		{"1.2.3", 0, ledger.ErrAmountSyntax},
		{"1.-5", 0, ledger.ErrAmountSyntax},
		{"1.+5", 0, ledger.ErrAmountSyntax},
		{"1. 5", 0, ledger.ErrAmountSyntax},
		// Leading zeros, which some readers take for octal.
		{"00", 0, ledger.ErrAmountSyntax},
		{"01", 0, ledger.ErrAmountSyntax},
		{"-01", 0, ledger.ErrAmountSyntax},
		{"00.5", 0, ledger.ErrAmountSyntax},
		{"000000000000000000000000000001", 0, ledger.ErrAmountSyntax},
		// Digits, minus signs and points of other scripts.
		{"１", 0, ledger.ErrAmountSyntax},
		{"١٢", 0, ledger.ErrAmountSyntax},
		{"1.５", 0, ledger.ErrAmountSyntax},
		{"²", 0, ledger.ErrAmountSyntax},
		{"−1", 0, ledger.ErrAmountSyntax},
		{"1．5", 0, ledger.ErrAmountSyntax},
		{"\ufeff1", 0, ledger.ErrAmountSyntax},
		{"\xff", 0, ledger.ErrAmountSyntax},
		{"1.\xff", 0, ledger.ErrAmountSyntax},

		{"1.0000001", 0, ledger.ErrAmountPrecision},
		{"-0.0000001", 0, ledger.ErrAmountPrecision},
		{"0.12345678", 0, ledger.ErrAmountPrecision},
		{"9223372036854.7758069999", 0, ledger.ErrAmountPrecision},
		// Wrong in both ways: which error it is stays put.
		{"99999999999999999999.0000001", 0, ledger.ErrAmountPrecision},

		{"9223372036854.775808", 0, ledger.ErrAmountRange},
		// MinInt64 has no negative, so it is not an Amount.
		{"-9223372036854.775808", 0, ledger.ErrAmountRange},
		{"-9223372036854.775809", 0, ledger.ErrAmountRange},
		{"9223372036855", 0, ledger.ErrAmountRange},
		{"18446744073709.551616", 0, ledger.ErrAmountRange}, // 2^64: zero if it wraps
		{"18446744073709.551617", 0, ledger.ErrAmountRange},
		{"1234567890123456789", 0, ledger.ErrAmountRange}, // 19 digits, an int64 in whole units
		{"9223372036854775807", 0, ledger.ErrAmountRange},
		{strings.Repeat("9", 48), 0, ledger.ErrAmountRange},
		{"-" + strings.Repeat("9", 47), 0, ledger.ErrAmountRange},

		// Longer than what is looked at, well formed or not.
		{"0." + strings.Repeat("0", 47), 0, ledger.ErrAmountSyntax},
		{strings.Repeat("9", 49), 0, ledger.ErrAmountSyntax},
		{"1." + strings.Repeat("0", 1<<20), 0, ledger.ErrAmountSyntax},
		{strings.Repeat("-", 1<<20), 0, ledger.ErrAmountSyntax},
	}
	for _, tt := range tests {
		got, err := ledger.ParseAmount(tt.text)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("ParseAmount(%.60q) = %d, %v; want %d, %v", tt.text, int64(got), err, int64(tt.want), tt.err)
		}
	}
}

// jsonNumber is the grammar that ParseAmount promises, written as the other
// way to say it.
var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)

// parseOracle is ParseAmount by grammar and rationals.
func parseOracle(text string) (ledger.Amount, error) {
	if len(text) > 48 || !jsonNumber.MatchString(text) {
		return 0, ledger.ErrAmountSyntax
	}
	value, ok := new(big.Rat).SetString(text)
	if !ok {
		panic("big.Rat does not read " + text)
	}
	value.Mul(value, big.NewRat(ledger.Scale, 1))
	if !value.IsInt() {
		return 0, ledger.ErrAmountPrecision
	}
	if !fits(value.Num()) {
		return 0, ledger.ErrAmountRange
	}
	return ledger.Amount(value.Num().Int64()), nil
}

func checkParse(t interface {
	Helper()
	Fatalf(string, ...any)
}, text string,
) {
	t.Helper()
	got, err := ledger.ParseAmount(text)
	want, wantErr := parseOracle(text)
	if got != want || !errors.Is(err, wantErr) {
		t.Fatalf("ParseAmount(%q) = %d, %v; want %d, %v", text, int64(got), err, int64(want), wantErr)
	}
	if err != nil {
		return
	}
	if again, err := ledger.ParseAmount(got.String()); err != nil || again != got {
		t.Fatalf("%q prints as %q, which is %d, %v", text, got, int64(again), err)
	}
}

func TestParseAmountAgainstRationals(t *testing.T) {
	t.Parallel()
	// Nearly right texts find more than random ones.
	texts := rapid.OneOf(
		rapid.StringMatching(`-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,9})?`),
		rapid.StringMatching(`-?922337203685[3-5]\.7758[0-9]{2,4}0{0,4}`),
		rapid.StringMatching(`[-+]?[0-9]{0,4}[.,e]?[0-9]{0,8}`),
		rapid.StringOfN(rapid.SampledFrom([]rune("0019.-+e ")), 0, 12, -1),
		rapid.StringMatching(`[0-9]{44,50}`),
		rapid.String(),
	)
	rapid.Check(t, func(t *rapid.T) {
		checkParse(t, texts.Draw(t, "text"))
	})
}

func FuzzParseAmount(f *testing.F) {
	for _, seed := range []string{
		"0", "-0", "1.5", "-18.383", "1.0000001", "1.0000000", "9223372036854.775807", "-9223372036854.775808",
		"+1", "1e3", "NaN", " 1", ".5", "1.", "01", "", "-", "1234567890123456789", "１", "\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) { checkParse(t, text) })
}

// decimalOracle is the amount with at least min digits after the point.
func decimalOracle(a ledger.Amount, least int) string {
	text := new(big.Rat).SetFrac(bigOf(a), big.NewInt(ledger.Scale)).FloatString(6)
	for drop := 6; drop > least && strings.HasSuffix(text, "0"); drop-- {
		text = text[:len(text)-1]
	}
	return strings.TrimSuffix(text, ".")
}

func TestAmountText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		amount ledger.Amount
		least  int
		want   string
	}{
		{0, 0, "0"},
		{0, 2, "0.00"},
		{100_000_000, 0, "100"},
		{100_000_000, 1, "100.0"},
		{38_300, 0, "0.0383"},
		{38_300, 2, "0.0383"},
		{-18_383_000, 0, "-18.383"},
		{-18_383_000, 4, "-18.3830"},
		{-18_383_000, 6, "-18.383000"},
		{-18_383_000, 7, "-18.383000"}, // there are no more than six digits
		{1, 0, "0.000001"},
		{-1, 3, "-0.000001"},
		{100_000, 2, "0.10"},
		{ledger.MaxAmount, 0, "9223372036854.775807"},
		{-ledger.MaxAmount, 6, "-9223372036854.775807"},
		// Not an Amount, but a log line that shows one must not be wrong or panic.
		{math.MinInt64, 0, "-9223372036854.775808"},
	}
	for _, tt := range tests {
		if got := string(tt.amount.AppendText(nil, tt.least)); got != tt.want {
			t.Errorf("AppendText(%d, %d) = %q, want %q", int64(tt.amount), tt.least, got, tt.want)
		}
	}
}

func TestAmountTextProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := amounts().Draw(t, "a")
		text := a.String()
		if back, err := ledger.ParseAmount(text); err != nil || back != a {
			t.Fatalf("%d prints as %q, which is read as %d, %v", int64(a), text, int64(back), err)
		}
		if want := decimalOracle(a, 0); text != want {
			t.Fatalf("%d prints as %q, want %q", int64(a), text, want)
		}
		// The shortest: cutting off any tail gives other text for another number.
		for cut := range len(text) {
			if shorter, err := ledger.ParseAmount(text[:cut]); err == nil && shorter == a {
				t.Fatalf("%q is not the shortest, %q is the same amount", text, text[:cut])
			}
		}
		least := rapid.IntRange(0, 6).Draw(t, "minFraction")
		prefix := rapid.SliceOf(rapid.Byte()).Draw(t, "prefix")
		padded := string(a.AppendText(prefix, least))
		rest, kept := strings.CutPrefix(padded, string(prefix))
		if want := decimalOracle(a, least); !kept || rest != want {
			t.Fatalf("AppendText(%q, %d) of %d = %q, want %q after the prefix", prefix, least, int64(a), padded, want)
		}
		if back, err := ledger.ParseAmount(rest); err != nil || back != a {
			t.Fatalf("%q is read as %d, %v, want %d", rest, int64(back), err, int64(a))
		}
	})
}

func TestFloor(t *testing.T) {
	t.Parallel()
	for amount, want := range map[ledger.Amount]int64{
		0: 0, 1: 0, 999_999: 0, 1_000_000: 1, 1_999_999: 1,
		-1: -1, -999_999: -1, -1_000_000: -1, -1_000_001: -2,
		ledger.MaxAmount: 9223372036854, -ledger.MaxAmount: -9223372036855,
	} {
		if got := amount.Floor(); got != want {
			t.Errorf("Floor(%s) = %d, want %d", amount, got, want)
		}
	}
}

func TestFloorAgainstBigInt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := amounts().Draw(t, "a")
		// For a positive divisor, big.Int's Euclidean division is the floor.
		want := new(big.Int).Div(bigOf(a), big.NewInt(ledger.Scale))
		if got := a.Floor(); got != want.Int64() {
			t.Fatalf("Floor(%s) = %d, want %d", a, got, want)
		}
	})
}

func TestAddSub(t *testing.T) {
	t.Parallel()
	check := func(t interface{ Fatalf(string, ...any) }, a, b ledger.Amount) {
		for _, op := range []struct {
			name string
			got  func(ledger.Amount) (ledger.Amount, error)
			want *big.Int
		}{
			{"+", a.Add, new(big.Int).Add(bigOf(a), bigOf(b))},
			{"-", a.Sub, new(big.Int).Sub(bigOf(a), bigOf(b))},
		} {
			got, err := op.got(b)
			switch {
			case !fits(op.want):
				if got != 0 || !errors.Is(err, ledger.ErrAmountRange) {
					t.Fatalf("%d %s %d = %d, %v; want ErrAmountRange", int64(a), op.name, int64(b), int64(got), err)
				}
			case err != nil || int64(got) != op.want.Int64():
				t.Fatalf("%d %s %d = %d, %v; want %s", int64(a), op.name, int64(b), int64(got), err, op.want)
			}
		}
	}
	// Every pair of edges, where carries and signs go wrong.
	const highest = ledger.MaxAmount
	edges := []ledger.Amount{
		-highest, -highest + 1, -highest/2 - 1, -highest / 2, -2, -1, 0,
		1, 2, highest / 2, highest/2 + 1, highest - 1, highest,
	}
	for _, a := range edges {
		for _, b := range edges {
			check(t, a, b)
		}
	}
	rapid.Check(t, func(t *rapid.T) { check(t, amounts().Draw(t, "a"), amounts().Draw(t, "b")) })
}

func TestTotal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var total, other ledger.Total
		want := new(big.Int)
		for _, a := range rapid.SliceOf(amounts()).Draw(t, "amounts") {
			total.Add(a)
			want.Add(want, bigOf(a))
		}
		for _, a := range rapid.SliceOf(amounts()).Draw(t, "others") {
			other.Add(a)
			want.Add(want, bigOf(a))
		}
		before, alone := other.Millionths(), total
		total.AddTotal(&other)
		back := total
		back.SubTotal(&other)
		if other.Millionths() != before {
			t.Fatalf("AddTotal or SubTotal changed what it took from %s to %s", before, other.Millionths())
		}
		// A copy does not change with what it was copied from.
		if !back.Equal(&alone) || other.IsZero() != back.Equal(&total) {
			t.Fatalf("%s less %s is %s, want %s", total.Millionths(), other.Millionths(), back.Millionths(), alone.Millionths())
		}
		if total.Millionths() != want.String() || total.IsZero() != (want.Sign() == 0) {
			t.Fatalf("total is %s (zero: %t), want %s", total.Millionths(), total.IsZero(), want)
		}
		text := new(big.Rat).SetFrac(want, big.NewInt(ledger.Scale)).FloatString(6)
		if text = strings.TrimSuffix(strings.TrimRight(text, "0"), "."); total.String() != text {
			t.Fatalf("total prints as %q, want %q", total.String(), text)
		}
		back, err := ledger.ParseTotal(total.Millionths())
		if err != nil || !back.Equal(&total) {
			t.Fatalf("ParseTotal(%q) = %s, %v", total.Millionths(), back.Millionths(), err)
		}
		back.Add(1)
		if back.Equal(&total) {
			t.Fatalf("Equal does not see a millionth more than %s", total.Millionths())
		}
	})
}

// A total of full wallets passes 64 bits at once, and 128 bits with patience.
func TestTotalBeyond64Bits(t *testing.T) {
	t.Parallel()
	var total ledger.Total
	for range 3 {
		total.Add(ledger.MaxAmount)
	}
	if got := total.String(); got != "27670116110564.327421" {
		t.Errorf("three full wallets are %s", got)
	}
	for range 80 { // 3 * MaxAmount * 2^80
		total.AddTotal(&total)
	}
	want := new(big.Int).Mul(bigOf(ledger.MaxAmount), big.NewInt(3))
	want.Lsh(want, 80)
	if got := total.Millionths(); got != want.String() {
		t.Errorf("doubled eighty times they are %s, want %s", got, want)
	}
	for range 3 {
		total.Add(-ledger.MaxAmount)
	}
	want.Sub(want, new(big.Int).Mul(bigOf(ledger.MaxAmount), big.NewInt(3)))
	if got := total.Millionths(); got != want.String() {
		t.Errorf("less three wallets they are %s, want %s", got, want)
	}
}

func TestTotalText(t *testing.T) {
	t.Parallel()
	for millionths, want := range map[string]string{
		"0": "0", "1": "0.000001", "-1": "-0.000001", "-1500000": "-1.5", "1000000": "1", "100000000": "100",
		"-100000000000000000000000000": "-100000000000000000000",
		"123456789012345678901234567":  "123456789012345678901.234567",
	} {
		total, err := ledger.ParseTotal(millionths)
		if err != nil || total.String() != want || total.Millionths() != millionths {
			t.Errorf("ParseTotal(%q) = %s (%s), %v; want %s", millionths, total.String(), total.Millionths(), err, want)
		}
	}
	for _, bad := range []string{"", "-", "1.5", "1e3", " 1", "1 ", "0x10", "1_000", "x", "１"} {
		if total, err := ledger.ParseTotal(bad); !errors.Is(err, ledger.ErrAmountSyntax) || !total.IsZero() {
			t.Errorf("ParseTotal(%q) = %s, %v; want ErrAmountSyntax", bad, total.Millionths(), err)
		}
	}
	var zero ledger.Total
	if !zero.IsZero() || zero.String() != "0" || zero.Millionths() != "0" {
		t.Errorf("the zero Total is %q, %q", zero.String(), zero.Millionths())
	}
}
