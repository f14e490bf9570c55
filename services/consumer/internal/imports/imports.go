// Package imports reads what people bring as CSV files: exchange rates, the costs of advertising, and product feeds, for
// `consumer import`, and the customers of a site, for exports. A file is judged as a whole: all of its mistakes are named with
// their lines, and nothing that was made of a file that has one is to be kept, unless who brings a feed allows some bad rows.
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

// firstDay is the euro's: no rate is older, and no event.
var firstDay = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)

// longestLine is the most bytes of a line, with all lines that a quoted field goes on in: a quote that is never closed must
// not take the rest of the file into memory.
const longestLine = 1 << 20

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

// count is the number of mistakes.
func (p *problems) count() int { return len(p.lines) + p.more }

// text has a line for each of the first mistakes.
func (p *problems) text() string {
	text := strings.Join(p.lines, "\n")
	if p.more > 0 {
		text += fmt.Sprintf("\nand %d more", p.more)
	}
	return text
}

// err is nil when there are no mistakes.
func (p *problems) err() error {
	if p.count() == 0 {
		return nil
	}
	return errors.New(p.text())
}

var errLongLine = fmt.Errorf("has more than %d bytes: a quote may be missing", longestLine)

// lineReader reads no more than longestLine, and what is buffered, between two calls of renew.
type lineReader struct {
	r    io.Reader
	read int
}

func (l *lineReader) renew() { l.read = 0 }

func (l *lineReader) Read(p []byte) (int, error) {
	if l.read > longestLine {
		return 0, errLongLine
	}
	n, err := l.r.Read(p)
	l.read += n
	return n, err
}

// table is a CSV file with a header.
type table struct {
	problems
	file     *lineReader
	buffered *bufio.Reader
	csv      *csv.Reader
	header   []string
	// line is the number of the line read last.
	line int
	// broken says that the file could not be read to its end.
	broken bool
	// today is the last day that has begun anywhere on Earth.
	today time.Time
}

// openTable reads the header. now is the time of the import; without a header there is a problem.
func openTable(r io.Reader, now time.Time) *table {
	t := newTable(r)
	t.csv.TrimLeadingSpace = true
	t.today = now.UTC().Add(14 * time.Hour).Truncate(24 * time.Hour)
	t.readHeader()
	return t
}

// newTable begins after a byte order mark, and has read nothing yet.
func newTable(r io.Reader) *table {
	t := &table{file: &lineReader{r: r}}
	t.buffered = bufio.NewReaderSize(t.file, 1<<16)
	if mark, err := t.buffered.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = t.buffered.Discard(3)
	}
	t.csv = csv.NewReader(t.buffered)
	t.csv.FieldsPerRecord = -1
	t.csv.ReuseRecord = true
	return t
}

func (t *table) readHeader() {
	if header, ok := t.next(); ok {
		t.header = append([]string(nil), header...)
	} else if t.count() == 0 {
		t.add(1, "the file is empty")
	}
}

// next returns the fields of the next line that is not empty, without spaces around them. They are valid until the next
// call. A line that is no CSV is a problem and ends the file: what follows could be read wrongly.
func (t *table) next() (fields []string, ok bool) {
	t.file.renew()
	fields, err := t.csv.Read()
	if errors.Is(err, io.EOF) {
		return nil, false
	}
	t.broken = err != nil
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
