// Package imports reads what people bring as CSV files: exchange rates and the costs of advertising, for `consumer import`,
// and the customers of a site, for exports. A file is judged as a whole: all of its mistakes are named with their lines, and
// nothing that was made of a file that has one is to be kept.
package imports

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bojanz/currency"
	"github.com/shopspring/decimal"
	historic "golang.org/x/text/currency"
)

// shownProblems is how many mistakes of a file are listed; the others are counted.
const shownProblems = 50

// longestRecord is the most bytes of a line of a file, or of several that one pair of quotes holds together: a quote without
// its end would else take the whole file into memory.
const longestRecord = 1 << 20

// firstDay is the euro's: no rate is older, and no event.
var firstDay = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)

// problems collects the mistakes of a file.
type problems struct {
	lines []string
	more  int
}

func (p *problems) add(line int, format string, args ...any) {
	if len(p.lines) == shownProblems {
		p.more++
		return
	}
	p.lines = append(p.lines, fmt.Sprintf("line %d: ", line)+fmt.Sprintf(format, args...))
}

// err is nil when there are no mistakes.
func (p *problems) err() error {
	if len(p.lines) == 0 {
		return nil
	}
	text := strings.Join(p.lines, "\n")
	if p.more > 0 {
		text += fmt.Sprintf("\nand %d more", p.more)
	}
	return errors.New(text)
}

// table is a CSV file with a header.
type table struct {
	problems
	csv    *csv.Reader
	source *bounded
	header []string
	// line is the number of the line read last.
	line int
	// today is the last day that has begun anywhere on Earth.
	today time.Time
}

// openTable reads the header. now is the time of the import; without a header there is a problem.
func openTable(r io.Reader, now time.Time) *table {
	source := &bounded{Reader: r, left: longestRecord}
	buffered := bufio.NewReader(source)
	if mark, err := buffered.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = buffered.Discard(3)
	}
	t := &table{csv: csv.NewReader(buffered), source: source, today: now.UTC().Add(14 * time.Hour).Truncate(24 * time.Hour)}
	t.csv.FieldsPerRecord = -1
	t.csv.TrimLeadingSpace = true
	t.csv.ReuseRecord = true
	if header, ok := t.next(); ok {
		t.header = append([]string(nil), header...)
	} else if len(t.lines) == 0 {
		t.add(1, "the file is empty")
	}
	return t
}

// next returns the fields of the next line that is not empty, without spaces around them. They are valid until the next
// call. A line that is no CSV is a problem and ends the file: what follows could be read wrongly.
func (t *table) next() (fields []string, ok bool) {
	t.source.left = longestRecord
	fields, err := t.csv.Read()
	if errors.Is(err, io.EOF) {
		return nil, false
	}
	var syntax *csv.ParseError
	if errors.As(err, &syntax) {
		t.add(syntax.Line, "is no CSV: %v", syntax.Err)
		return nil, false
	}
	if err != nil {
		t.add(t.line+1, "%v", err)
		return nil, false
	}
	t.line, _ = t.csv.FieldPos(0)
	for i, field := range fields {
		fields[i] = strings.TrimSpace(field)
	}
	return fields, true
}

// bounded ends with an error when too much was read since left was set.
type bounded struct {
	io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("is longer than %d bytes; is a quotation mark without its end?", longestRecord)
	}
	n, err := b.Reader.Read(p)
	b.left -= n
	return n, err
}

// dayLayouts are ISO 8601 and that of the daily file of the European Central Bank.
var dayLayouts = []string{time.DateOnly, "02 January 2006"}

// day reads a day that has begun somewhere; what is none is a problem.
func (t *table) day(text string) (time.Time, bool) {
	for _, layout := range dayLayouts {
		day, err := time.Parse(layout, text)
		switch {
		case err != nil:
			continue
		case day.After(t.today):
			t.add(t.line, "%s is in the future", text)
			return day, false
		case day.Before(firstDay):
			t.add(t.line, "%s is before %s", text, firstDay.Format(time.DateOnly))
			return day, false
		}
		return day, true
	}
	t.add(t.line, "%s is not a day such as 2026-11-24", quoted(text))
	return time.Time{}, false
}

// amount is a decimal number as every file has it: no exponent, no sign but a minus, no separator of thousands.
var amount = regexp.MustCompile(`^-?\d{1,14}(?:\.\d{1,12})?$`)

// readDecimal reads a number of at most the given places.
func readDecimal(text string, places int32) (decimal.Decimal, bool) {
	if !amount.MatchString(text) {
		return decimal.Decimal{}, false
	}
	d, err := decimal.NewFromString(text)
	return d, err == nil && -d.Exponent() <= places
}

// knownCurrency tells whether the text is a code of ISO 4217, in force or withdrawn: the European Central Bank's file of all
// days has those too.
func knownCurrency(code string) bool {
	if len(code) != 3 || strings.ToUpper(code) != code {
		return false
	}
	_, err := historic.ParseISO(code)
	return err == nil || currency.IsValid(code)
}

// quoted shows a text of the file, cut where it is long.
func quoted(text string) string {
	const most = 40
	if utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
