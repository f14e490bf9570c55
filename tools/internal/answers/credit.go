package answers

import (
	"math"
	"math/big"
	"slices"
	"time"
)

// Models are the words of the parameter model.
var Models = []string{"first", "last", "last_non_direct", "linear", "position", "time_decay"}

// DefaultModel is the one that counts when none is asked for.
const DefaultModel = "last_non_direct"

// step is a touch of a path.
type step struct {
	// fact is nil for the direct touch of a conversion without any.
	fact *fact
	kind string
	age  time.Duration
}

// path are the touches that a conversion may be credited to.
func (a *Answers) path(c *conversion) []step {
	clickDays, viewDays := time.Duration(c.goal.ClickDays)*day, time.Duration(c.goal.ViewDays)*day
	byKind := map[string][]step{}
	for _, t := range a.touchesOf(c.person) {
		age := c.hit.occurred.Sub(t.occurred)
		window := clickDays
		if t.touch == "view" {
			window = viewDays
		}
		if age < 0 || age > window {
			continue
		}
		s := step{t, t.touch, age}
		byKind[t.touch] = append(byKind[t.touch], s)
		if t.touch != "view" {
			byKind["on site"] = append(byKind["on site"], s)
		}
	}
	switch {
	case len(byKind["click"]) > 0:
		return byKind["on site"]
	case len(byKind["view"]) > 0:
		return byKind["view"]
	}
	return byKind["direct"]
}

// credited is the path that gets the credit: never empty.
func (a *Answers) credited(c *conversion) []step {
	if path := a.path(c); len(path) > 0 {
		return path
	}
	return []step{{kind: "direct"}}
}

// weights are those of the touches of the path, in whole numbers.
func weights(model string, path []step) []int64 {
	n := len(path)
	w := make([]int64, n)
	switch model {
	case "first":
		w[0] = 1
	case "last":
		w[n-1] = 1
	case "last_non_direct":
		chosen := n - 1
		for i, s := range path {
			if s.kind != "direct" {
				chosen = i
			}
		}
		w[chosen] = 1
	case "linear":
		for i := range w {
			w[i] = 1
		}
	case "position":
		for i := range w {
			w[i] = 1
		}
		if n > 2 {
			w[0], w[n-1] = 2*int64(n-2), 2*int64(n-2)
		}
	case "time_decay":
		for i, s := range path {
			weeks := float64(s.age.Milliseconds()) / float64((7 * day).Milliseconds())
			w[i] = int64(math.Round(math.Exp2(-weeks) * 1e9))
		}
	default:
		panic("model " + model)
	}
	return w
}

// share gives each touch its part of the amount: whole micros, with the sum of the amount.
func share(amount Amount, weights []int64) []Amount {
	total := zero()
	for _, w := range weights {
		total = plus(total, big.NewInt(w))
	}
	parts, remainders := make([]Amount, len(weights)), make([]Amount, len(weights))
	left := new(big.Int).Abs(amount)
	for i, w := range weights {
		parts[i], remainders[i] = new(big.Int).DivMod(new(big.Int).Mul(new(big.Int).Abs(amount), big.NewInt(w)), total, zero())
		left = minus(left, parts[i])
	}
	order := make([]int, len(weights))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return remainders[j].Cmp(remainders[i]) })
	for _, i := range order[:left.Int64()] {
		parts[i] = plus(parts[i], big.NewInt(1))
	}
	if amount.Sign() < 0 {
		for i := range parts {
			parts[i] = new(big.Int).Neg(parts[i])
		}
	}
	return parts
}

var wholeConversion = big.NewInt(1_000_000)

// credit is what a touch gets of a conversion.
type credit struct {
	*conversion
	step
	conversions, revenue Amount
}

// credits shares out the conversions. Touches without a weight are left out.
func (a *Answers) credits(conversions []*conversion, model string) []credit {
	var all []credit
	for _, c := range conversions {
		path := a.credited(c)
		w := weights(model, path)
		value := c.value
		if value == nil {
			value = zero()
		}
		counts, revenues := share(wholeConversion, w), share(value, w)
		for i, s := range path {
			if w[i] > 0 {
				all = append(all, credit{c, s, counts[i], revenues[i]})
			}
		}
	}
	return all
}
