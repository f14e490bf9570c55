// Package exporttest judges files of exports by what the platforms have published, and by docs/audiences.md for the formats
// that are onepx's own. It shares nothing with the code that writes them. It is for tests.
package exporttest

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/parquet-go/parquet-go"

	"github.com/onepx/onepx/services/shared/jobs"
)

// Check returns the lines of a file, without its header: the cells of each. The error says what the platform would refuse.
func Check(format jobs.Format, file []byte) ([][]string, error) {
	if format == jobs.Parquet {
		return parquetRows(file)
	}
	if bytes.HasPrefix(file, []byte("\ufeff")) || bytes.ContainsRune(file, 0) || !utf8.Valid(file) {
		return nil, errors.New("not UTF-8 without byte order mark")
	}
	if len(file) >= 1<<30 {
		return nil, errors.New("larger than 1 GB, which TikTok does not take")
	}
	if format == jobs.NDJSON {
		return ndjsonRows(file)
	}
	lines, err := csv.NewReader(bytes.NewReader(file)).ReadAll() // each as long as the first
	if err != nil {
		return nil, err
	}
	rules := map[jobs.Format]sheet{jobs.CSV: ownSheet, jobs.GoogleCustomerMatch: googleSheet, jobs.Meta: metaSheet, jobs.TikTok: tikTokSheet, jobs.TheTradeDesk: tradeDeskSheet}[format]
	header := []string{""}
	if rules.mostTimes > 0 {
		if len(lines) == 0 {
			return nil, errors.New("no header")
		}
		header, lines = lines[0], lines[1:]
	}
	return lines, rules.check(header, lines)
}

// sheet is what is published about the columns of a platform.
type sheet struct {
	// columns are the names that a header may have, with the form of their cells.
	columns map[string]*regexp.Regexp
	// mostTimes is how often a name may stand in a header; 0 = there is no header, but one column without a name.
	mostTimes int
	// together are columns that a header, and so a line, has all or none of.
	together []string
	// alone are columns of which one is enough for a line.
	alone []string
}

var (
	hexOfSHA256 = regexp.MustCompile(`^([0-9a-f]{64})?$`)
	plain       = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9 -]{0,15})?$`)
	isoCountry  = regexp.MustCompile(`^([A-Z]{2})?$`)
	inBase64    = regexp.MustCompile(`^[A-Za-z0-9+/]{43}=$`)
	anyText     = regexp.MustCompile(`(?s)^.*$`)

	// https://support.google.com/google-ads/answer/7659867, /7474263
	googleSheet = sheet{mostTimes: 3, columns: map[string]*regexp.Regexp{
		"Email": hexOfSHA256, "Phone": hexOfSHA256, "First Name": hexOfSHA256, "Last Name": hexOfSHA256, "Country": isoCountry, "Zip": plain,
	}, together: []string{"First Name", "Last Name", "Country", "Zip"}, alone: []string{"Email", "Phone", "Zip"}}

	// https://www.facebook.com/business/help/2082575038703844: up to three columns of addresses, and of telephone numbers
	metaSheet = sheet{mostTimes: 3, columns: map[string]*regexp.Regexp{
		"email": hexOfSHA256, "phone": hexOfSHA256, "fn": hexOfSHA256, "ln": hexOfSHA256, "ct": hexOfSHA256, "st": hexOfSHA256, "zip": hexOfSHA256,
		"country": hexOfSHA256, "dob": hexOfSHA256, "doby": hexOfSHA256, "gen": hexOfSHA256,
	}, alone: []string{"email", "phone", "ln"}}

	// https://ads.tiktok.com/help/article/list-of-supported-ids-and-formats-for-a-customer-file
	tikTokSheet = sheet{mostTimes: 3, columns: map[string]*regexp.Regexp{"Email_SHA256": hexOfSHA256, "Phone_SHA256": hexOfSHA256, "MAID_SHA256": hexOfSHA256},
		alone: []string{"Email_SHA256", "Phone_SHA256", "MAID_SHA256"}}

	// https://unifiedid.com/docs/getting-started/gs-normalization-encoding: the bytes of the hash, not its hex, in base64
	tradeDeskSheet = sheet{columns: map[string]*regexp.Regexp{"": inBase64}, alone: []string{""}}

	ownSheet = sheet{mostTimes: 1, columns: map[string]*regexp.Regexp{"visitor_id": anyText, "products": anyText, "qualified_at": anyText, "ends_at": anyText}, alone: []string{"visitor_id"}}
)

func (s sheet) check(header []string, lines [][]string) error {
	times := map[string]int{}
	for _, name := range header {
		if s.columns[name] == nil {
			return fmt.Errorf("no column is called %q", name)
		}
		if times[name]++; s.mostTimes > 0 && times[name] > s.mostTimes {
			return fmt.Errorf("column %s stands %d times", name, times[name])
		}
	}
	for i, line := range lines {
		filled := map[string]bool{}
		for j, cell := range line {
			if !s.columns[header[j]].MatchString(cell) {
				return fmt.Errorf("line %d: %q is no %q", i, cell, header[j])
			}
			filled[header[j]] = filled[header[j]] || cell != ""
		}
		if !slices.ContainsFunc(s.alone, func(name string) bool { return filled[name] }) {
			return fmt.Errorf("line %d: nobody would be found by it", i)
		}
		for _, name := range s.together {
			if filled[name] != filled[s.together[0]] {
				return fmt.Errorf("line %d: %s is of no use without %s", i, s.together[0], name)
			}
		}
		if err := s.checkForm(line); err != nil {
			return fmt.Errorf("line %d: %w", i, err)
		}
	}
	return nil
}

// checkForm looks into the cells of formats without names of hashes.
func (s sheet) checkForm(line []string) error {
	if s.mostTimes == 0 {
		sum, err := base64.StdEncoding.DecodeString(line[0])
		if err != nil || len(sum) != 32 {
			return errors.New("no SHA-256 in base64")
		}
	}
	if s.mostTimes != 1 {
		return nil
	}
	for _, cell := range line {
		if strings.ContainsAny(cell[:1], "=+-@\t\r") || strings.ContainsAny(cell, ";\t\r\n") {
			return fmt.Errorf("%q may be a formula", cell)
		}
	}
	var products []string
	_, wrongID := uuid.Parse(line[0])
	_, wrongStart := time.Parse(time.RFC3339Nano, line[2])
	_, wrongEnd := time.Parse(time.RFC3339Nano, line[3])
	return errors.Join(wrongID, json.Unmarshal([]byte(line[1]), &products), wrongStart, wrongEnd)
}

func ndjsonRows(file []byte) (rows [][]string, err error) {
	if len(file) > 0 && file[len(file)-1] != '\n' {
		return nil, errors.New("the last line has no end")
	}
	for text := range bytes.Lines(file) {
		var line struct {
			VisitorID   *uuid.UUID `json:"visitor_id"`
			Products    []string   `json:"products"`
			QualifiedAt *time.Time `json:"qualified_at"`
			EndsAt      *time.Time `json:"ends_at"`
		}
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&line); err != nil {
			return nil, err
		}
		if line.VisitorID == nil || line.Products == nil || line.QualifiedAt == nil || line.EndsAt == nil {
			return nil, fmt.Errorf("%s: something is missing", text)
		}
		rows = append(rows, row(*line.VisitorID, line.Products, *line.QualifiedAt, *line.EndsAt))
	}
	return rows, nil
}

func parquetRows(file []byte) (rows [][]string, err error) {
	type line struct {
		VisitorID   uuid.UUID `parquet:"visitor_id"`
		Products    []string  `parquet:"products,list"`
		QualifiedAt time.Time `parquet:"qualified_at,timestamp(millisecond)"`
		EndsAt      time.Time `parquet:"ends_at,timestamp(millisecond)"`
	}
	lines, err := parquet.Read[line](bytes.NewReader(file), int64(len(file)))
	for _, l := range lines {
		rows = append(rows, row(l.VisitorID, l.Products, l.QualifiedAt, l.EndsAt))
	}
	return rows, err
}

// row has the cells that a CSV file would have.
func row(visitor uuid.UUID, products []string, qualified, ends time.Time) []string {
	list, err := json.Marshal(append([]string{}, products...))
	if err != nil {
		return nil // texts always become JSON
	}
	const layout = "2006-01-02T15:04:05.000Z07:00"
	return []string{visitor.String(), string(list), qualified.UTC().Format(layout), ends.UTC().Format(layout)}
}
