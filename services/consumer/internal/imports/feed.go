package imports

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// Bounds of a feed. The id's is that of ids of items in events.
const (
	mostProducts    = 5_000_000
	longestID       = 128
	longestText     = 1024
	longestLink     = 8192
	wantedPrice     = "an amount with at most 12 digits before and 6 after the point, and a currency, such as 49.99 EUR"
	wantedSalePart  = "two moments with their offset, such as 2026-11-24T09:00+0100/2026-11-30T23:59+0100"
	wantedAvailable = "in_stock, out_of_stock, preorder or backorder"
)

// feedColumns are those of Google Merchant that are used; the others are passed over.
var feedColumns = []string{
	"id", "title", "link", "price", "availability", // which must be there
	"image_link", "sale_price", "sale_price_effective_date", "product_type", "google_product_category", "item_group_id",
}

// neededColumns is the number of columns that must be there.
const neededColumns = 5

// Feed is what came of a feed that was read to its end.
type Feed struct {
	Products int
	// BadRows is the number of rows with a mistake, and Mistakes a line for each of the first mistakes.
	BadRows  int
	Mistakes string
}

// feed is a product feed that is being read.
type feed struct {
	*table
	// column has the place of each of feedColumns in the header, or -1.
	column map[string]int
	fields []string
	lineOf map[[16]byte]uint32
}

// ReadFeed reads a product feed with the columns of Google Merchant, separated by tabs when there is one in the header, else
// by commas, and gives each product to each, whose error ends it. The products are valid until each returns. With more than
// allowed rows with a mistake the feed is refused, by an error with a line for each mistake; what each was given is to be
// forgotten then, as after every error.
func ReadFeed(r io.Reader, allowed int, each func(*store.Product) error) (Feed, error) {
	f := &feed{table: newTable(r), column: map[string]int{}, lineOf: map[[16]byte]uint32{}}
	if head, _ := f.buffered.Peek(f.buffered.Size()); bytes.ContainsRune(firstLine(head), '\t') {
		f.csv.Comma = '\t'
		// Such files have quotes within fields, as in 5" screen.
		f.csv.LazyQuotes = true
	}
	f.readHeader()
	f.readColumns()
	if err := f.err(); err != nil {
		return Feed{}, err
	}
	var read Feed
	var product store.Product
	for f.nextRow() {
		known := f.count()
		f.product(&product)
		switch {
		case f.count() > known:
			read.BadRows++
		case read.BadRows <= allowed:
			if err := each(&product); err != nil {
				return Feed{}, err
			}
			read.Products++
		}
		if len(f.lineOf) > mostProducts {
			f.add(f.line, "a feed has at most %d products", mostProducts)
			return Feed{}, f.err()
		}
	}
	read.Mistakes = f.text()
	return read, f.verdict(read, allowed)
}

// verdict is the error of a feed that can't be used.
func (f *feed) verdict(read Feed, allowed int) error {
	switch {
	case f.broken || read.BadRows > allowed:
		if read.BadRows > 1 {
			return fmt.Errorf("%w\nrows with a mistake: %d", f.err(), read.BadRows)
		}
		return f.err()
	case read.Products == 0:
		f.add(f.line, "there are no products in the file")
		return f.err()
	}
	return nil
}

// nextRow reads the next row. One that is no CSV ends the file.
func (f *feed) nextRow() (ok bool) {
	f.fields, ok = f.next()
	return ok
}

func firstLine(text []byte) []byte {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return line
}

// readColumns finds the columns in the header, whose names may have spaces and capital letters.
func (f *feed) readColumns() {
	if !utf8.ValidString(strings.Join(f.header, "")) {
		f.add(f.line, "the header is not UTF-8")
	}
	for i, name := range f.header {
		name = strings.ReplaceAll(strings.ToLower(name), " ", "_")
		if !slices.Contains(feedColumns, name) {
			continue
		}
		if _, twice := f.column[name]; twice {
			f.add(f.line, "there are two columns %s", name)
		}
		f.column[name] = i
	}
	for i, name := range feedColumns {
		if _, found := f.column[name]; found {
			continue
		}
		if i < neededColumns && f.count() == 0 {
			f.add(f.line, "there is no column %s; needed are %s", name, strings.Join(feedColumns[:neededColumns], ", "))
		}
		f.column[name] = -1
	}
}

// field is the text of a column, empty when there is no such column.
func (f *feed) field(column string) string {
	if i := f.column[column]; i >= 0 {
		return f.fields[i]
	}
	return ""
}

// product reads the row.
func (f *feed) product(p *store.Product) {
	if len(f.fields) != len(f.header) {
		f.add(f.line, "has %d fields, the header has %d", len(f.fields), len(f.header))
		return
	}
	*p = store.Product{Line: uint32(min(f.line, math.MaxUint32))} //nolint:gosec // it is bounded
	p.ID = f.words("id", longestID, true)
	if p.ID != "" {
		f.once(p.ID)
	}
	p.Title = f.words("title", longestText, true)
	p.Link, p.ImageLink = f.address("link", true), f.address("image_link", false)
	p.GroupID = f.words("item_group_id", longestID, false)
	if p.Category = f.words("product_type", longestText, false); p.Category == "" {
		p.Category = f.words("google_product_category", longestText, false)
	}
	p.Availability = strings.ReplaceAll(strings.ToLower(f.field("availability")), " ", "_")
	if !slices.Contains([]string{"in_stock", "out_of_stock", "preorder", "backorder"}, p.Availability) {
		f.add(f.line, "availability: %s is not %s", quoted(f.field("availability")), wantedAvailable)
	}
	p.PriceMicros, p.Currency = f.price("price")
	f.sale(p)
}

// once notes the id; one that another row has is a mistake.
func (f *feed) once(id string) {
	sum := sha256.Sum256([]byte(id))
	key := [16]byte(sum[:16])
	if first, twice := f.lineOf[key]; twice {
		f.add(f.line, "id: %s is on line %d already", quoted(id), first)
		return
	}
	f.lineOf[key] = uint32(min(f.line, math.MaxUint32)) //nolint:gosec // it is bounded
}

// words reads a text of one line.
func (f *feed) words(column string, most int, needed bool) string {
	text := f.field(column)
	switch {
	case text == "" && needed:
		f.add(f.line, "%s: is empty", column)
	case !utf8.ValidString(text):
		f.add(f.line, "%s: %s is not UTF-8", column, quoted(text))
	case utf8.RuneCountInString(text) > most:
		f.add(f.line, "%s: %s has more than %d characters", column, quoted(text), most)
	case strings.ContainsFunc(text, unicode.IsControl):
		f.add(f.line, "%s: %s has a line break or another control character", column, quoted(text))
	default:
		return text
	}
	return ""
}

// address reads the address of a page or an image.
func (f *feed) address(column string, needed bool) string {
	text := f.field(column)
	if text == "" && !needed {
		return ""
	}
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" || len(text) > longestLink || !utf8.ValidString(text) {
		f.add(f.line, "%s: %s is not an address with http or https of at most %d bytes", column, quoted(text), longestLink)
		return ""
	}
	return text
}

// price reads an amount and its currency.
func (f *feed) price(column string) (micros int64, currency string) {
	text := f.field(column)
	number, currency, _ := strings.Cut(text, " ")
	currency = strings.TrimSpace(currency)
	sum, readable := readDecimal(number, 6)
	if !readable || sum.Sign() < 0 || sum.Cmp(costBound) >= 0 || !knownCurrency(currency) {
		f.add(f.line, "%s: %s is not %s", column, quoted(text), wantedPrice)
		return 0, ""
	}
	return sum.Shift(6).IntPart(), currency
}

// sale reads the sale price and when it holds: without moments, always.
func (f *feed) sale(p *store.Product) {
	p.SaleFrom, p.SaleUntil = time.Unix(0, 0).UTC(), forever
	if f.field("sale_price") == "" {
		return
	}
	micros, currency := f.price("sale_price")
	if currency != "" && p.Currency != "" && currency != p.Currency {
		f.add(f.line, "sale_price: is in %s, the price in %s", currency, p.Currency)
	}
	p.SaleMicros = &micros
	window := f.field("sale_price_effective_date")
	if window == "" {
		return
	}
	from, until, _ := strings.Cut(window, "/")
	var errFrom, errUntil error
	p.SaleFrom, errFrom = moment(from)
	p.SaleUntil, errUntil = moment(until)
	if errors.Join(errFrom, errUntil) != nil || p.SaleUntil.Before(p.SaleFrom) {
		f.add(f.line, "sale_price_effective_date: %s is not %s, the later one last", quoted(window), wantedSalePart)
	}
}

// forever is later than every moment that a feed may name.
var forever = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// momentLayouts are those of ISO 8601 that feeds have.
var momentLayouts = []string{"2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04Z0700", "2006-01-02T15:04Z07:00"}

func moment(text string) (at time.Time, err error) {
	for _, layout := range momentLayouts {
		if at, err = time.Parse(layout, strings.TrimSpace(text)); err == nil && (at.Year() < 1970 || !at.Before(forever)) {
			err = fmt.Errorf("%s is out of range", text)
		}
		if err == nil {
			return at.UTC(), nil
		}
	}
	return at, err
}
