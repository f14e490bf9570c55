package answers

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"
)

// Amount is money in millionths; nil is none.
type Amount = *big.Int

func zero() Amount { return new(big.Int) }

func plus(a, b Amount) Amount  { return new(big.Int).Add(a, b) }
func minus(a, b Amount) Amount { return new(big.Int).Sub(a, b) }

// Decimal writes millionths with six places.
func Decimal(a Amount) string {
	sign, digits := "", new(big.Int).Abs(a).String()
	if a.Sign() < 0 {
		sign = "-"
	}
	if len(digits) < 7 {
		digits = strings.Repeat("0", 7-len(digits)) + digits
	}
	return sign + digits[:len(digits)-6] + "." + digits[len(digits)-6:]
}

var (
	decimal      = regexp.MustCompile(`^[-+]?[0-9]{1,12}(\.[0-9]{1,6})?$`)
	currencyCode = regexp.MustCompile(`^[A-Za-z]{3}$`)
)

// ParseAmount reads an amount; nil when it can't be read.
func ParseAmount(text string) Amount {
	if !decimal.MatchString(text) {
		return nil
	}
	return roundAway(mustRat(text).Mul(mustRat(text), big.NewRat(1_000_000, 1)))
}

func mustRat(text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		panic(fmt.Sprintf("%q is no number", text))
	}
	return r
}

// roundAway rounds to the nearest whole number, halves away from zero.
func roundAway(r *big.Rat) *big.Int {
	doubled := new(big.Int).Mul(new(big.Int).Abs(r.Num()), big.NewInt(2))
	n := doubled.Add(doubled, r.Denom())
	n.Div(n, new(big.Int).Mul(r.Denom(), big.NewInt(2)))
	if r.Sign() < 0 {
		n.Neg(n)
	}
	return n
}

// rate is that of the day, else of the latest of the 7 days before; nil when there is none.
func (s Site) rate(currency string, day Day) *big.Rat {
	if currency == "EUR" {
		return big.NewRat(1, 1)
	}
	for back := range 8 {
		if text, ok := s.Rates[currency][day.Add(-back)]; ok {
			return mustRat(text)
		}
	}
	return nil
}

// convert returns the amount in the site's currency; nil when a rate is missing.
func (s Site) convert(a Amount, currency string, day Day) Amount {
	if currency == s.Currency {
		return a
	}
	from, to := s.rate(currency, day), s.rate(s.Currency, day)
	if from == nil || to == nil {
		return nil
	}
	r := new(big.Rat).SetInt(a)
	r.Mul(r, to)
	return roundAway(r.Quo(r, from))
}
