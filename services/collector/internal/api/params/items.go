package params

import (
	"encoding/json"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/shared/money"
	"github.com/onepx/onepx/services/shared/reason"
)

// maxItems is the number of items an event may have.
const maxItems = 100

// itemJSON is one item as the site sends it: numbers may be JSON numbers or decimal texts.
type itemJSON struct {
	ID       scalar `json:"id"`
	Quantity scalar `json:"qty"`
	Price    scalar `json:"price"`
	Category scalar `json:"category"`
}

// scalar is a JSON string or the digits of a JSON number, as written.
type scalar string

// UnmarshalJSON accepts strings, numbers and null (as not given).
func (s *scalar) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err == nil {
		*s = scalar(text)
		return nil
	}
	var number json.Number
	if err := json.Unmarshal(data, &number); err != nil {
		return err
	}
	*s = scalar(number)
	return nil
}

// readItems reads a JSON array of items; currencies are those that their prices name, "" where one names none. What can't be
// read is left out and flagged. ok is false only if there are more than maxItems.
func readItems(text string, flags *Flags) (items []*onepxv1.Item, currencies []string, ok bool) {
	if !json.Valid([]byte(text)) {
		flags.Add(reason.ItemsInvalid)
		return nil, nil, true
	}
	raw, isArray, ok := elements([]byte(text), maxItems)
	if !isArray {
		flags.Add(reason.ItemsInvalid)
	}
	for _, one := range raw {
		if item, currency := readItem(one, flags); item != nil {
			items, currencies = append(items, item), append(currencies, currency)
		}
	}
	return items, currencies, ok
}

// readItem returns an item and the currency that its price names; nil for what has no id or no readable quantity: such a line
// can't be counted.
func readItem(data []byte, flags *Flags) (item *onepxv1.Item, currency string) {
	var in itemJSON
	err := json.Unmarshal(data, &in)
	id := Clean(string(in.ID), flags)
	if err != nil || id == "" {
		flags.Add(reason.ItemsInvalid)
		return nil, ""
	}
	item = &onepxv1.Item{
		Id:             cutRunes(id, 128, flags),
		Category:       cutRunes(mask(Clean(string(in.Category), flags), flags), 256, flags),
		QuantityMicros: 1_000_000,
	}
	if in.Quantity != "" {
		quantity, ok := money.Micros(string(in.Quantity))
		if !ok || quantity < 0 {
			flags.Add(reason.ItemsInvalid)
			return nil, ""
		}
		item.QuantityMicros = quantity
	}
	if in.Price != "" {
		price, named, ok := readAmount(string(in.Price))
		if ok {
			item.PriceMicros, currency = &price, named
		} else {
			flags.Add(reason.ItemsInvalid)
		}
	}
	return item, currency
}
