package params_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/shared/reason"
)

func TestMoney(t *testing.T) {
	for _, test := range []struct {
		name, query string
		want        *onepxv1.Commerce
		flags       params.Flags
	}{
		{"no value", "", &onepxv1.Commerce{}, nil},
		{"whole", "value=12", &onepxv1.Commerce{ValueMicros: proto.Int64(12_000_000)}, nil},
		{"decimals are exact", "value=0.1&currency=eur", &onepxv1.Commerce{ValueMicros: proto.Int64(100_000), Currency: "EUR"}, nil},
		{"six decimals", "value=1.234567", &onepxv1.Commerce{ValueMicros: proto.Int64(1_234_567)}, nil},
		{"the largest", "value=999999999999.999999", &onepxv1.Commerce{ValueMicros: proto.Int64(999_999_999_999_999_999)}, nil},
		{"negative", "value=-3.5", &onepxv1.Commerce{ValueMicros: proto.Int64(-3_500_000)}, nil},
		{"a plus sign, encoded", "value=%2B3", &onepxv1.Commerce{ValueMicros: proto.Int64(3_000_000)}, nil},
		{"nought", "value=0", &onepxv1.Commerce{ValueMicros: proto.Int64(0)}, nil},
		{"seven decimals", "value=1.2345678", &onepxv1.Commerce{}, params.Flags{reason.ValueInvalid}},
		{"thirteen digits", "value=1000000000000", &onepxv1.Commerce{}, params.Flags{reason.ValueInvalid}},
		{"spaces around it", "value=+5+", &onepxv1.Commerce{ValueMicros: proto.Int64(5_000_000)}, nil},
		{"nothing but spaces", "value=+", &onepxv1.Commerce{}, params.Flags{reason.ValueInvalid}},
		{"an empty value is not given", "value=", &onepxv1.Commerce{}, nil},
		{"no digit before the point", "value=.5", &onepxv1.Commerce{}, params.Flags{reason.ValueInvalid}},
		{"no digit after the point", "value=5.", &onepxv1.Commerce{}, params.Flags{reason.ValueInvalid}},
		{"an unknown currency takes the value with it", "value=5&currency=EURO", &onepxv1.Commerce{}, params.Flags{reason.CurrencyInvalid}},
		{"a code that nobody uses", "value=5&currency=XYZ", &onepxv1.Commerce{}, params.Flags{reason.CurrencyInvalid}},
		{"a symbol is no code", "value=5&currency=%E2%82%AC", &onepxv1.Commerce{}, params.Flags{reason.CurrencyInvalid}},
	} {
		t.Run(test.name, func(t *testing.T) {
			hit := read(test.query)
			require.True(t, proto.Equal(test.want, hit.Event.Commerce), "%v", hit.Event.Commerce)
			require.Equal(t, test.flags, hit.Flags)
		})
	}
}

func TestAmountsAsShopsPrintThem(t *testing.T) {
	const micro = 1_000_000
	for text, want := range map[string]int64{
		"12,5": 12_500_000, "12,50": 12_500_000, "1234,56": 1_234_560_000, "0,99": 990_000, "-12,50": -12_500_000,
		"1.234,56": 1_234_560_000, "1.234.567,8": 1_234_567_800_000, "1.234,567": 1_234_567_000, "1.234.567": 1_234_567 * micro,
		"1,234.56": 1_234_560_000, "1,234,567.8": 1_234_567_800_000, "1,234.567": 1_234_567_000, "1,234,567": 1_234_567 * micro,
		"1 234,56": 1_234_560_000, "1 234.56": 1_234_560_000, "1 234": 1_234 * micro, "12 345 678": 12_345_678 * micro,
		"1\u00a0234,56": 1_234_560_000, "1\u202f234,56": 1_234_560_000, "1\u2009234,56": 1_234_560_000,
		"1'234.56": 1_234_560_000, "1’234,56": 1_234_560_000, "1'234": 1_234 * micro,
		"−3,50": -3_500_000, "+3,50": 3_500_000, "999.999.999.999,999999": 999_999_999_999_999_999,
		// A point alone is decimal, as documented.
		"1.234": 1_234_000, "0.123": 123_000,
	} {
		hit := read(encode("value", text))
		require.Empty(t, hit.Flags, text)
		require.True(t, proto.Equal(&onepxv1.Commerce{ValueMicros: &want}, hit.Event.Commerce), "%q: %v", text, hit.Event.Commerce)
	}
}

func TestWhatMayMeanTwoAmountsOrNoneIsNone(t *testing.T) {
	for _, text := range []string{
		"1,234", "12,345", "-1,234", "1234,567", "0,123", "12,3456", // a comma before three digits may be either
		"1,234 EUR", "1.234 EUR", "€1.234", "EUR 12.345", // and what is printed with a currency may have points for thousands
		"1.23.456", "12.34,56", "1234.567,89", "0.123,45", "1.2345,6", "1,00,000.00", "1.234.56", "1,234,56", "1.234,567.89", "1 234.567,89", "1,234'567.00",
		"1..234,56", "1  234,56", "1,.5", "12 50", "1 2", "1\u00a0234 567",
		"NaN", "Inf", "-Infinity", "1e3", "1E3", "0x10", "--5", "+-5", "-€-5", "- 5", "5-", "(5)", "5%", ".", ",", "-", "'", ".5", "5.", ",5", "5,", "€", "EUR", "EUR EUR",
		"٣", "１２", "½", "free", "1.2345678", "1 000 000 000 000", "undefined", "{{total}}",
	} {
		hit := read(encode("value", text))
		require.Equal(t, params.Flags{reason.ValueInvalid}, hit.Flags, "%q", text)
		require.True(t, proto.Equal(&onepxv1.Commerce{}, hit.Event.Commerce), "%q: %v", text, hit.Event.Commerce)
		require.Empty(t, hit.Reject)
	}
}

func TestACurrencyInTheValueCountsWhereNoneIsGiven(t *testing.T) {
	for _, test := range []struct {
		name, value, currency string
		micros                *int64
		want                  string
		flags                 params.Flags
	}{
		{"a code after it", "49.99 EUR", "", proto.Int64(49_990_000), "EUR", nil},
		{"a code before it", "EUR 49.99", "", proto.Int64(49_990_000), "EUR", nil},
		{"without a space, in lower case", "49,99chf", "", proto.Int64(49_990_000), "CHF", nil},
		{"a symbol before it", "€49.99", "", proto.Int64(49_990_000), "EUR", nil},
		{"a symbol after it, and a no-break space", "1.234,56\u00a0€", "", proto.Int64(1_234_560_000), "EUR", nil},
		{"a sign before the symbol", "-€5", "", proto.Int64(-5_000_000), "EUR", nil},
		{"a sign after the symbol", "€ -5", "", proto.Int64(-5_000_000), "EUR", nil},
		{"another symbol", "₹1,234.50", "", proto.Int64(1_234_500_000), "INR", nil},
		{"letters that are a symbol", "12,50 zł", "", proto.Int64(12_500_000), "PLN", nil},
		{"the given one says the same", "€5", "eur", proto.Int64(5_000_000), "EUR", nil},
		{"the given one says something else", "€5", "USD", nil, "USD", params.Flags{reason.ValueInvalid}},
		{"the given one is unknown", "€5", "coins", nil, "", params.Flags{reason.CurrencyInvalid}},
		{"a symbol of many currencies", "$5", "", nil, "", params.Flags{reason.ValueInvalid}},
		{"a symbol of many currencies, though one is given", "$5", "USD", nil, "USD", params.Flags{reason.ValueInvalid}},
		{"a symbol of two currencies", "¥500", "", nil, "", params.Flags{reason.ValueInvalid}},
		{"letters that are no code", "5 XYZ", "", nil, "", params.Flags{reason.ValueInvalid}},
		{"a word", "5 Euro", "", nil, "", params.Flags{reason.ValueInvalid}},
		{"two of them", "EUR 5 EUR", "", nil, "", params.Flags{reason.ValueInvalid}},
		{"a number that is out of range", "1234567890123 EUR", "", nil, "", params.Flags{reason.ValueInvalid}},
	} {
		t.Run(test.name, func(t *testing.T) {
			hit := read(encode("value", test.value, "currency", test.currency))
			require.True(t, proto.Equal(&onepxv1.Commerce{ValueMicros: test.micros, Currency: test.want}, hit.Event.Commerce), "%v", hit.Event.Commerce)
			require.Equal(t, test.flags, hit.Flags)
		})
	}
}

func TestASaleIsNotNegative(t *testing.T) {
	for name, kept := range map[string]bool{"purchase": false, "restate": false, "refund": true, "cancel": true, "page_view": true, "lead": true} {
		hit := read(encode("value", "-5", "e", name, "order_id", "1"))
		require.Equal(t, kept, hit.Event.Commerce.ValueMicros != nil, name)
		require.Equal(t, kept, len(hit.Flags) == 0, name)
		require.Equal(t, "1", hit.Event.Commerce.OrderId)
		require.Empty(t, hit.Reject)
	}
	require.Empty(t, read("e=purchase&value=-0").Flags)
}

func TestPricesNeedACurrency(t *testing.T) {
	for _, test := range []struct {
		name, currency, value string
		kept                  bool
		flags                 params.Flags
	}{
		{"without a currency it is the site's", "", "", true, nil},
		{"with one it needs no value", "USD", "", true, nil},
		{"an unreadable value leaves the prices", "USD", "?", true, params.Flags{reason.ValueInvalid}},
		{"an unknown one is none", "coins", "5", false, params.Flags{reason.CurrencyInvalid}},
	} {
		t.Run(test.name, func(t *testing.T) {
			hit := read(encode("items", `[{"id":"a","price":5}]`, "currency", test.currency, "value", test.value))
			require.Equal(t, test.kept, hit.Event.Commerce.Items[0].PriceMicros != nil)
			require.Equal(t, test.flags, hit.Flags)
		})
	}
}

func TestPricesAreReadAsValuesAre(t *testing.T) {
	for _, test := range []struct {
		name, currency, value string
		prices                []string
		want                  []int64 // -1 is none
		in                    string
		flags                 params.Flags
	}{
		{"as shops print them", "", "", []string{"1.234,56", "12,50", "1,234"}, []int64{1_234_560_000, 12_500_000, -1}, "", params.Flags{reason.ItemsInvalid}},
		{"with the currency that is given", "EUR", "", []string{"€5", "5"}, []int64{5_000_000, 5_000_000}, "EUR", nil},
		{"with the currency of the value", "", "10 EUR", []string{"€5", "5"}, []int64{5_000_000, 5_000_000}, "EUR", nil},
		{"with their own where nothing else says one", "", "10", []string{"5", "€5"}, []int64{5_000_000, 5_000_000}, "EUR", nil},
		{"with another one than the event", "USD", "", []string{"€5", "5"}, []int64{-1, 5_000_000}, "USD", params.Flags{reason.ItemsInvalid}},
		{"with several", "", "", []string{"€5", "5 USD"}, []int64{5_000_000, -1}, "EUR", params.Flags{reason.ItemsInvalid}},
		{"with one that is unknown", "", "", []string{"5 XYZ"}, []int64{-1}, "", params.Flags{reason.ItemsInvalid}},
		{"negative ones are discounts", "", "", []string{"-5"}, []int64{-5_000_000}, "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var items []string
			for _, price := range test.prices {
				items = append(items, fmt.Sprintf(`{"id":"a","price":%q}`, price))
			}
			hit := read(encode("e", "purchase", "items", "["+strings.Join(items, ",")+"]", "currency", test.currency, "value", test.value))
			var got []int64
			for _, item := range hit.Event.Commerce.Items {
				if item.PriceMicros == nil {
					got = append(got, -1)
					continue
				}
				got = append(got, item.GetPriceMicros())
			}
			require.Equal(t, test.want, got)
			require.Equal(t, test.in, hit.Event.Commerce.Currency)
			require.Equal(t, test.flags, hit.Flags)
			require.Equal(t, test.value != "", hit.Event.Commerce.ValueMicros != nil)
		})
	}
}

// FuzzAmount holds that an amount that is read has the digits of the text and no others, and is read again the same when
// it is written as a plain decimal number.
func FuzzAmount(f *testing.F) {
	for _, text := range []string{"49.90", "1.234,56", "1,234.56", "1,234", "12,50", "1 234,56 €", "EUR 1'234.5", "-€5", "NaN", "1e3", "--5", "₹1,00,000", "1.234 EUR"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		commerce := read(encode("value", text)).Event.Commerce
		if commerce.ValueMicros == nil {
			require.Empty(t, commerce.Currency)
			return
		}
		micros, sign := commerce.GetValueMicros(), ""
		if micros < 0 {
			micros, sign = -micros, "-"
		}
		decimal := fmt.Sprintf("%s%d.%06d", sign, micros/1_000_000, micros%1_000_000)
		digits := func(s string) string {
			return strings.Map(func(r rune) rune {
				if unicode.IsDigit(r) {
					return r
				}
				return -1
			}, s)
		}
		require.Equal(t, strings.Trim(digits(text), "0"), strings.Trim(digits(decimal), "0"))
		again := read(encode("value", decimal, "currency", commerce.Currency))
		require.Empty(t, again.Flags)
		require.True(t, proto.Equal(commerce, again.Event.Commerce), "%q: %v", decimal, again.Event.Commerce)
	})
}
