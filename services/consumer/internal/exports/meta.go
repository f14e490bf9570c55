package exports

import (
	"regexp"
	"strings"
	"time"

	"github.com/onepx/onepx/services/consumer/internal/imports"
)

// metaHeader has the names of columns of Meta's customer lists (https://www.facebook.com/business/help/2082575038703844).
var metaHeader = []string{"email", "phone", "fn", "ln", "ct", "st", "zip", "country", "dob", "doby", "gen"}

// metaLine is a line of a customer list. Everything is hashed. The rules are those of Meta's own library
// (facebook-python-business-sdk, serverside/normalize.py).
func metaLine(line *cells, c *imports.Contact) bool {
	born, year := metaBorn(c.DOB)
	line.add(c.Email, metaEmailHash(c.Email))
	line.add(c.Phone, hexHash(metaPhone(c.Phone, c.Country)))
	line.add(c.FirstName, hexHash(metaName(c.FirstName)))
	line.add(c.LastName, hexHash(metaName(c.LastName)))
	line.add(c.City, hexHash(metaPlace(c.City)))
	line.add(c.State, hexHash(metaPlace(c.State)))
	line.add(c.Zip, hexHash(metaZip(c.Zip)))
	line.add(c.Country, hexHash(strings.ToLower(region(c.Country))))
	line.add(c.DOB, hexHash(born))
	line.values = append(line.values, hexHash(year))
	line.add(c.Gender, hexHash(metaGender(c.Gender)))
	named := line.values[2] != "" && line.values[3] != ""
	return line.values[0] != "" || line.values[1] != "" || named
}

var (
	metaAddress = regexp.MustCompile(`^[a-z0-9_.+-]+@[a-z0-9-]+\.[a-z0-9-.]+$`)
	metaHashed  = regexp.MustCompile(`^([a-f0-9]{32}|[a-f0-9]{64})$`)
	metaNoPlace = regexp.MustCompile(`[0-9.\s\-()]`)
)

// metaEmailHash hashes an address in lower case without spaces around it; dots and +tags stay. What is a hash already is kept.
func metaEmailHash(text string) string {
	text = strings.ToLower(strings.TrimSpace(text))
	switch {
	case metaHashed.MatchString(text):
		return text
	case metaAddress.MatchString(text):
		return hexHash(text)
	}
	return ""
}

// metaPhone is a number with the code of its country, digits only: without + and leading zeros.
func metaPhone(phone, country string) string { return strings.TrimPrefix(e164(phone, country), "+") }

func metaName(text string) string { return strings.ToLower(strings.TrimSpace(text)) }

// metaPlace is a city or state in lower case without digits, dots, spaces, hyphens and brackets.
func metaPlace(text string) string { return metaNoPlace.ReplaceAllString(strings.ToLower(text), "") }

// metaZip is a postcode in lower case without spaces, up to the first hyphen.
func metaZip(text string) string {
	zip, _, _ := strings.Cut(strings.ToLower(withoutSpaces(text)), "-")
	return zip
}

// metaBorn is a day of birth as 19870216, as customer information parameters have it
// (https://developers.facebook.com/documentation/ads-commerce/conversions-api/parameters/customer-information-parameters), and
// its year: Meta names no form of hashed days in files.
func metaBorn(text string) (born, year string) {
	day, err := time.Parse(time.DateOnly, text)
	if err != nil || day.Year() < 1900 {
		return "", ""
	}
	return day.Format("20060102"), day.Format("2006")
}

// metaGender is m or f.
func metaGender(text string) string {
	switch strings.ToLower(text) {
	case "m", "male":
		return "m"
	case "f", "female":
		return "f"
	}
	return ""
}
