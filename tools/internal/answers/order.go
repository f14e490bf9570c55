package answers

import "math/big"

// entry is an event of an order that may move an amount.
type entry struct {
	*fact
	// own is the amount that the event names, in its currency ownIn; all tells that it takes all that is left instead.
	own   Amount
	ownIn string
	all   bool
	// moved is what it adds to the order's sums, of its kind and in the order's currency; nil when its amount is unknown.
	moved Amount
}

// order is what was sold under one order id.
type order struct {
	// sale is nil while there is none.
	sale *fact
	// entries are the others, in order, without repeats of the sale.
	entries []*entry
	repeats []*fact
	// gross is the value of the sale, nil when unknown. valued tells that the order has a known value, by its sale or as restated.
	gross       Amount
	valued      bool
	net         Amount
	currency    string
	rateMissing bool
}

func (o *order) overRefunded() bool { return o.net.Sign() < 0 }

// setOrders makes the orders of all counted events of kind order.
func (a *Answers) setOrders() {
	a.orderOf = map[*fact]*order{}
	byID := map[string]*order{}
	facts := map[*order][]*fact{}
	for _, f := range a.counted {
		if f.kind != "order" {
			continue
		}
		o := byID[f.OrderID]
		if o == nil || f.OrderID == "" {
			o = &order{}
			byID[f.OrderID] = o
			a.orders = append(a.orders, o)
		}
		a.orderOf[f] = o
		facts[o] = append(facts[o], f)
	}
	for _, o := range a.orders {
		a.settle(o, facts[o])
	}
}

// settle computes an order from its events, which are in order.
func (a *Answers) settle(o *order, facts []*fact) {
	var priced *fact // the first purchase with a value
	for _, f := range facts {
		if f.Name != "purchase" {
			continue
		}
		if priced == nil && f.value != nil {
			priced = f
		}
		if o.sale == nil {
			o.sale = f
		} else {
			o.repeats = append(o.repeats, f)
		}
	}
	for _, f := range facts {
		if f.Name != "purchase" {
			o.entries = append(o.entries, newEntry(f, o.sale))
		}
	}
	a.setCurrency(o, priced)
	if priced != nil {
		o.gross = a.inOrder(o, priced.value, priced.currency, o.sale.day)
		o.valued = true
	}
	a.move(o)
}

// newEntry reads the amount that an event names.
func newEntry(f, sale *fact) *entry {
	e := &entry{fact: f, ownIn: f.currency}
	switch {
	case f.Name == "cancel":
		e.all = true
	case f.Name == "restate":
		e.own = f.value
	case f.value != nil:
		e.own = new(big.Int).Abs(f.value)
	case f.unreadable:
	case f.ItemsBroken:
	case len(f.Items) > 0:
		e.own, e.ownIn = itemsAmount(f, sale)
	default:
		e.all = true
	}
	return e
}

// itemsAmount is the sum of quantity times price, and its currency; nil when a price is known nowhere, or they are in two
// currencies.
func itemsAmount(f, sale *fact) (sum Amount, currency string) {
	sum = zero()
	for _, item := range f.Items {
		price, in := item.Price, f.currency
		if price == "" && sale != nil {
			for _, sold := range sale.Items {
				if sold.ID == item.ID {
					price, in = sold.Price, sale.currency
					break
				}
			}
		}
		if price == "" || currency != "" && in != currency {
			return nil, ""
		}
		currency = in
		quantity := "1"
		if item.Quantity != "" {
			quantity = item.Quantity
		}
		line := new(big.Rat).Mul(mustRat(quantity), mustRat(price))
		sum = plus(sum, roundAway(line.Mul(line, big.NewRat(1_000_000, 1))))
	}
	return sum, currency
}

// setCurrency decides in which currency the order is added up.
func (a *Answers) setCurrency(o *order, priced *fact) {
	var own string // of the first entry with a value
	need := func(amount Amount, currency string, day Day) {
		if own == "" {
			own = currency
		}
		if a.site.convert(amount, currency, day) == nil {
			o.rateMissing = true
		}
	}
	if priced != nil {
		need(priced.value, priced.currency, o.sale.day)
	}
	for _, e := range o.entries {
		if e.own != nil {
			need(e.own, e.ownIn, o.dayOf(e))
		}
	}
	o.currency = a.site.Currency
	if o.rateMissing {
		o.currency = own
	}
}

// dayOf is the day of the rate of an entry, and of the entry in a report by sales.
func (o *order) dayOf(e *entry) Day {
	if o.sale != nil {
		return o.sale.day
	}
	return e.day
}

// inOrder is the amount in the order's currency; nil when it is in a third one.
func (a *Answers) inOrder(o *order, amount Amount, currency string, day Day) Amount {
	if !o.rateMissing {
		return a.site.convert(amount, currency, day)
	}
	if currency == o.currency {
		return amount
	}
	return nil
}

// move applies the entries in order.
func (a *Answers) move(o *order) {
	sale, taken := zero(), zero() // as restated so far, and refunded or cancelled so far
	if o.gross != nil {
		sale = o.gross
	}
	for _, e := range o.entries {
		if e.all {
			e.moved = minus(sale, taken)
			if e.moved.Sign() < 0 {
				e.moved = zero()
			}
		} else if e.own != nil {
			e.moved = a.inOrder(o, e.own, e.ownIn, o.dayOf(e))
		}
		if e.moved == nil {
			continue
		}
		if e.Name != "restate" {
			taken = plus(taken, e.moved)
			continue
		}
		e.moved, sale = minus(e.moved, sale), e.moved
		o.valued = true
	}
	o.net = minus(sale, taken)
}

// LedgerRow is one of revenue_ledger.
type LedgerRow struct {
	DatedBy      string `key:"dated_by"`
	Day          Day    `key:"day"`
	Currency     string `key:"currency"`
	RateMissing  bool   `key:"rate_missing"`
	Orders       int    `col:"orders"`
	Sales        Amount `col:"sales"`
	Restated     Amount `col:"restated"`
	Refunded     Amount `col:"refunded"`
	Cancelled    Amount `col:"cancelled"`
	Net          Amount `col:"net"`
	WithoutValue int    `col:"without_value"`
	Unknown      int    `col:"unknown_amounts"`
	WithoutSale  int    `col:"without_sale"`
	OverRefunded int    `col:"over_refunded"`
	Repeats      int    `col:"repeats"`
	Machines     int    `col:"machine_entries"`
}

type ledgerKey struct {
	datedBy     string
	day         Day
	currency    string
	rateMissing bool
}

// RevenueLedger answers: what was sold, refunded, restated, cancelled?
func (a *Answers) RevenueLedger(r Range) []LedgerRow {
	l := ledger{within: r, rows: map[ledgerKey]*LedgerRow{}}
	for _, o := range a.orders {
		for _, datedBy := range []string{"sale", "booking"} {
			if o.sale != nil {
				l.addSale(l.row(datedBy, o.sale.day, o.currency, o.rateMissing), o)
			}
			for _, e := range o.entries {
				day := e.day
				if datedBy == "sale" {
					day = o.dayOf(e)
				}
				l.add(l.row(datedBy, day, o.currency, o.rateMissing), o, e)
			}
			for _, f := range o.repeats {
				l.row(datedBy, f.day, a.site.Currency, false).Repeats++
			}
		}
	}
	for _, f := range a.facts {
		if f.Bot && !f.repeat && f.kind == "order" {
			l.row("sale", f.day, a.site.Currency, false).Machines++
			l.row("booking", f.day, a.site.Currency, false).Machines++
		}
	}
	rows := make([]LedgerRow, 0, len(l.rows))
	for _, row := range l.rows {
		row.Net = minus(minus(plus(row.Sales, row.Restated), row.Refunded), row.Cancelled)
		rows = append(rows, *row)
	}
	return rows
}

type ledger struct {
	within Range
	rows   map[ledgerKey]*LedgerRow
}

// row finds or makes a row; one out of range is nobody's.
func (l *ledger) row(datedBy string, day Day, currency string, rateMissing bool) *LedgerRow {
	key := ledgerKey{datedBy, day, currency, rateMissing}
	row := l.rows[key]
	if row == nil {
		row = &LedgerRow{DatedBy: datedBy, Day: day, Currency: currency, RateMissing: rateMissing, Sales: zero(), Restated: zero(), Refunded: zero(), Cancelled: zero()}
		if l.within.has(day) {
			l.rows[key] = row
		}
	}
	return row
}

func (l *ledger) addSale(row *LedgerRow, o *order) {
	row.Orders++
	if o.gross == nil {
		row.WithoutValue++
	} else {
		row.Sales = plus(row.Sales, o.gross)
	}
	if o.overRefunded() {
		row.OverRefunded++
	}
}

func (l *ledger) add(row *LedgerRow, o *order, e *entry) {
	if o.sale == nil {
		row.WithoutSale++
	}
	switch {
	case e.moved == nil:
		row.Unknown++
	case e.Name == "restate":
		row.Restated = plus(row.Restated, e.moved)
	case e.Name == "refund":
		row.Refunded = plus(row.Refunded, e.moved)
	default:
		row.Cancelled = plus(row.Cancelled, e.moved)
	}
}
