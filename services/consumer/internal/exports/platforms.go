package exports

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"io"
	"regexp"
	"strings"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/language"

	"github.com/onepx/onepx/services/consumer/internal/imports"
	"github.com/onepx/onepx/services/shared/jobs"
)

// platform is what a platform wants a list of customers to be. Each has rules of its own for the same address: with those of
// another nobody would be found.
type platform struct {
	// header is the first line; nil = there is none.
	header []string
	// line adds the cells of a customer, in the order of the header. It is false when the platform would find nobody by them.
	line func(*cells, *imports.Contact) bool
}

var platforms = map[jobs.Format]platform{
	jobs.GoogleCustomerMatch: {googleHeader, googleLine},
	jobs.Meta:                {metaHeader, metaLine},
	jobs.TikTok:              {tikTokHeader, tikTokLine},
	jobs.TheTradeDesk:        {nil, tradeDeskLine},
}

// cells are the values of a line.
type cells struct {
	values []string
	// unusable is how many texts of contacts have no value by the rules of the platform.
	unusable uint64
}

// add adds the value of a text, which is empty when the platform can't use it.
func (c *cells) add(text, value string) {
	if text != "" && value == "" {
		c.unusable++
	}
	c.values = append(c.values, value)
}

// hexHash is the SHA-256 of a text in lower-case hex; of an empty text it is empty.
func hexHash(text string) string {
	if text == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// base64Hash is the SHA-256 of a text, its 32 bytes in base64; of an empty text it is empty.
func base64Hash(text string) string {
	if text == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// address is the least that an e-mail address has.
var address = regexp.MustCompile(`^[^\s@,;]+@[^\s@,;]+\.[^\s@,;]+$`)

// mailbox splits an address; false when it is none.
func mailbox(text string) (local, domain string, ok bool) {
	if len(text) > 254 || !address.MatchString(text) {
		return "", "", false
	}
	return strings.Cut(text, "@")
}

// withoutSpaces is the text without white space anywhere.
func withoutSpaces(text string) string { return strings.Join(strings.Fields(text), "") }

// e164 is a telephone number in the form of E.164, such as +4915112345678; empty when it can't be known. A number that does not
// begin with + or 00 is one of the country, and without a country one that begins with the code of it, as lists of Americans do.
func e164(phone, country string) string {
	phone = strings.TrimSpace(phone)
	if rest, international := strings.CutPrefix(phone, "00"); international {
		phone = "+" + rest
	}
	valid := phonenumbers.IsPossibleNumber
	if !strings.HasPrefix(phone, "+") {
		valid = phonenumbers.IsValidNumber
		if country = region(country); country == "" {
			phone = "+" + phone
		}
	}
	number, err := phonenumbers.Parse(phone, country)
	if err != nil || !valid(number) {
		return ""
	}
	return phonenumbers.Format(number, phonenumbers.E164)
}

// region is the code of a country in upper case with two letters; empty when it is none.
func region(country string) string {
	if len(country) != 2 && len(country) != 3 {
		return ""
	}
	parsed, err := language.ParseRegion(country)
	if err != nil || !parsed.IsCountry() {
		return ""
	}
	if code := parsed.Canonicalize().String(); len(code) == 2 {
		return code
	}
	return ""
}

// sheetWriter writes the lines of a platform's list.
type sheetWriter struct {
	csv    *csv.Writer
	header []string
}

func newSheetWriter(p platform, out io.Writer) *sheetWriter {
	return &sheetWriter{csv.NewWriter(out), p.header}
}

func (w *sheetWriter) write(values []string) error {
	if err := w.begin(); err != nil {
		return err
	}
	return w.csv.Write(values)
}

// begin writes the header, once.
func (w *sheetWriter) begin() error {
	header := w.header
	if header == nil {
		return nil
	}
	w.header = nil
	return w.csv.Write(header)
}

func (w *sheetWriter) close() error {
	if err := w.begin(); err != nil {
		return err
	}
	w.csv.Flush()
	return w.csv.Error()
}
