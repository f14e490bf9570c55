package segments

import (
	"math/big"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
)

// million is how many millionths make a unit.
const million = 1_000_000

// safe bounds price and quantity whose product, and half a million, fit into 64 bits.
const safe = 3_000_000_000

// itemMicros is price times quantity of an item, rounded half up; nil when the price is not known or the result does not fit.
func itemMicros(item *onepxv1.Item) *int64 {
	if item.PriceMicros == nil {
		return nil
	}
	price, quantity := *item.PriceMicros, item.GetQuantityMicros()
	if 0 <= price && price <= safe && 0 <= quantity && quantity <= safe {
		return new((price*quantity + million/2) / million)
	}
	n := new(big.Int).Mul(big.NewInt(price), big.NewInt(quantity))
	n.Div(n.Add(n, big.NewInt(million/2)), big.NewInt(million)) // Euclidean: rounds down
	if !n.IsInt64() {
		return nil
	}
	return new(n.Int64())
}
