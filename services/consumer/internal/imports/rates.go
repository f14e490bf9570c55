package imports

import (
	"io"
	"strings"
	"time"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// rateColumn is a currency of the header.
type rateColumn struct {
	currency string
	field    int
}

// ReadRates reads exchange rates as the European Central Bank publishes them: the header is Date and currencies, each line a
// day and the units of each currency for one euro. An empty field or N/A is no rate. The error has a line for each mistake.
// now is the time of the import: days that have not begun anywhere are mistakes.
func ReadRates(r io.Reader, now time.Time) ([]store.Rate, error) {
	t := openTable(r, now)
	columns := t.rateColumns()
	if len(columns) == 0 {
		return nil, t.err()
	}
	var rates []store.Rate
	lineOf := map[time.Time]int{}
	for fields, ok := t.next(); ok; fields, ok = t.next() {
		day, ok := t.day(fields[0])
		if first := lineOf[day]; ok && first > 0 {
			t.add(t.line, "%s is on line %d already", day.Format(time.DateOnly), first)
		} else if ok {
			lineOf[day] = t.line
		}
		for _, extra := range fields[min(len(t.header), len(fields)):] {
			if extra != "" {
				t.add(t.line, "has %d fields, the header has %d", len(fields), len(t.header))
				break
			}
		}
		rates = t.addRates(rates, day, columns, fields)
	}
	if len(rates) == 0 && len(t.lines) == 0 {
		t.add(t.line, "there are no rates in the file")
	}
	if err := t.err(); err != nil {
		return nil, err
	}
	return rates, nil
}

// rateColumns reads the header; none are returned with a problem only. The bank's files end each line with a comma, so an
// empty name at the end is none.
func (t *table) rateColumns() []rateColumn {
	if len(t.header) == 0 {
		return nil
	}
	if !strings.EqualFold(t.header[0], "date") {
		t.add(t.line, "the first column is %s, not Date", quoted(t.header[0]))
		return nil
	}
	var columns []rateColumn
	seen := map[string]bool{}
	for i, code := range t.header[1:] {
		switch {
		case code == "" && i == len(t.header)-2:
			continue
		case !knownCurrency(code):
			t.add(t.line, "%s is not a currency (ISO 4217)", quoted(code))
		case code == "EUR":
			t.add(t.line, "EUR has a column; the euro's rate is always 1")
		case seen[code]:
			t.add(t.line, "%s has two columns", code)
		}
		seen[code] = true
		columns = append(columns, rateColumn{currency: code, field: i + 1})
	}
	if len(columns) == 0 {
		t.add(t.line, "there is no currency after Date")
	}
	return columns
}

// addRates appends the rates of one line.
func (t *table) addRates(rates []store.Rate, day time.Time, columns []rateColumn, fields []string) []store.Rate {
	for _, column := range columns {
		if column.field >= len(fields) {
			t.add(t.line, "ends before %s", column.currency)
			break
		}
		text := fields[column.field]
		if text == "" || strings.EqualFold(text, "n/a") {
			continue
		}
		rate, ok := readDecimal(text, 12)
		if !ok || rate.Sign() <= 0 {
			t.add(t.line, "%s: %s is not a rate, a decimal number above 0 with at most 14 digits before and 12 after the point", column.currency, quoted(text))
			continue
		}
		rates = append(rates, store.Rate{Day: day, Currency: column.currency, Rate: rate})
	}
	return rates
}
