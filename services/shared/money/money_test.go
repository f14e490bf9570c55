package money_test

import (
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/money"
)

func TestDecimalsAreReadExactly(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "-0": 0, "12": 12_000_000, "0.1": 100_000, "1.234567": 1_234_567, "+3": 3_000_000, "-3.5": -3_500_000, "007.10": 7_100_000,
		"999999999999.999999": 999_999_999_999_999_999, "-999999999999.999999": -999_999_999_999_999_999,
	} {
		micros, ok := money.Micros(text)
		require.True(t, ok, text)
		require.Equal(t, want, micros, text)
	}
}

func TestWhatIsNoPlainDecimalIsNone(t *testing.T) {
	for _, text := range []string{
		"", " ", "-", "+", ".", "5.", ".5", "1.2345678", "1000000000000", "1e3", "0x10", "NaN", "Inf", "--5", "+-5", "1,5", "1_000", " 1", "1 ", "1\n",
		"٣", "€5", "5 EUR", "1.2.3",
	} {
		_, ok := money.Micros(text)
		require.False(t, ok, "%q", text)
	}
}

func TestAnAmountIsWrittenAsItIsRead(t *testing.T) {
	for micros, want := range map[int64]string{
		0: "0", 50_000_000: "50", 9_900_000: "9.9", 1: "0.000001", -1_500_000: "-1.5", 999_999_999_999_999_999: "999999999999.999999",
		math.MaxInt64: "9223372036854.775807", math.MinInt64: "-9223372036854.775808",
	} {
		require.Equal(t, want, money.Text(micros))
	}
}

func FuzzMicros(f *testing.F) {
	for _, text := range []string{"0", "-12.5", "1e3", "999999999999.999999", "1.2.3"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		micros, ok := money.Micros(text)
		if !ok {
			return
		}
		want, valid := new(big.Rat).SetString(strings.TrimPrefix(text, "+"))
		require.True(t, valid)
		require.Zero(t, want.Cmp(big.NewRat(micros, 1_000_000)))
		again, ok := money.Micros(money.Text(micros))
		require.True(t, ok)
		require.Equal(t, micros, again)
	})
}
