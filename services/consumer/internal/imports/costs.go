package imports

import (
	"crypto/sha256"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// costHeader are the columns of a file of costs.
const costHeader = "site,day,source,medium,campaign,currency,cost"

// longestName is the most characters of a source, medium or campaign.
const longestName = 512

// costBound is above every cost: 12 digits before the point.
var costBound = decimal.New(1, 12)

var siteID = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// IsSiteID tells whether a text may be the id of a site.
func IsSiteID(text string) bool { return siteID.MatchString(text) }

// ReadCosts reads the costs of campaigns by day, with the header site,day,source,medium,campaign,currency,cost, and gives
// each line without a mistake to each, whose error ends it. Source, medium and campaign become lower case. The error has a
// line for each mistake, so nothing should be kept before a first reading has returned nil. now is the time of the import.
func ReadCosts(r io.Reader, now time.Time, each func(store.Cost) error) error {
	t := openTable(r, now)
	if len(t.header) > 0 && strings.ToLower(strings.Join(t.header, ",")) != costHeader {
		t.add(t.line, "the header is %s, not %s", quoted(strings.Join(t.header, ",")), costHeader)
	}
	if err := t.err(); err != nil {
		return err
	}
	// The hash of a key and the line that has it: a file may have more lines than memory could hold as texts.
	lineOf := map[[16]byte]int{}
	for fields, ok := t.next(); ok; fields, ok = t.next() {
		cost, ok := t.cost(fields)
		if !ok {
			continue
		}
		key := keyOf(cost)
		if first := lineOf[key]; first > 0 {
			t.add(t.line, "has the site, day, source, medium, campaign and currency of line %d (case does not matter)", first)
			continue
		}
		lineOf[key] = t.line
		if err := each(cost); err != nil {
			return err
		}
	}
	if len(lineOf) == 0 && len(t.lines) == 0 {
		t.add(t.line, "there are no costs in the file")
	}
	return t.err()
}

// keyOf hashes what a cost is known by.
func keyOf(c store.Cost) [16]byte {
	sum := sha256.Sum256([]byte(strings.Join([]string{c.SiteID, c.Day.Format(time.DateOnly), c.Source, c.Medium, c.Campaign, c.Currency}, "\x00")))
	return [16]byte(sum[:16])
}

// cost reads one line.
func (t *table) cost(fields []string) (cost store.Cost, ok bool) {
	if len(fields) != len(t.header) {
		t.add(t.line, "has %d fields, the header has %d", len(fields), len(t.header))
		return cost, false
	}
	before := t.count()
	cost.SiteID = fields[0]
	if !IsSiteID(cost.SiteID) {
		t.add(t.line, "%s is not the id of a site", quoted(cost.SiteID))
	}
	cost.Day, _ = t.day(fields[1])
	cost.Source, cost.Medium, cost.Campaign = t.name(fields[2]), t.name(fields[3]), t.name(fields[4])
	if cost.Source == "" {
		t.add(t.line, "the source is empty")
	}
	cost.Currency = fields[5]
	if !knownCurrency(cost.Currency) {
		t.add(t.line, "%s is not a currency (ISO 4217)", quoted(cost.Currency))
	}
	spent, readable := readDecimal(fields[6], 6)
	switch {
	case !readable || spent.Abs().Cmp(costBound) >= 0:
		t.add(t.line, "%s is not a cost, a decimal number with at most 12 digits before and 6 after the point", quoted(fields[6]))
	case spent.Sign() < 0:
		t.add(t.line, "the cost %s is negative", fields[6])
	default:
		cost.CostMicros = spent.Shift(6).IntPart()
	}
	return cost, t.count() == before
}

// name makes a source, medium or campaign lower case.
func (t *table) name(text string) string {
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > longestName || strings.ContainsRune(text, 0) {
		t.add(t.line, "%s is not a name of at most %d characters in UTF-8", quoted(text), longestName)
		return "-"
	}
	return strings.ToLower(text)
}
