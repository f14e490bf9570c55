package imports

import (
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Contact is a customer as the site's own file has them; what the file does not say is empty.
type Contact struct {
	// CustomerID is what the site sends as uid.
	CustomerID string
	Email      string
	// Phone is as people write it, best with the code of the country.
	Phone     string
	FirstName string
	LastName  string
	City      string
	State     string
	Zip       string
	// Country is a code of ISO 3166.
	Country string
	// DOB is the day of birth, as 1987-02-16.
	DOB string
	// Gender is m, f, male or female.
	Gender string
}

// contactColumns are the columns that a file may have, in any order.
var contactColumns = map[string]func(*Contact) *string{
	"customer_id": func(c *Contact) *string { return &c.CustomerID },
	"email":       func(c *Contact) *string { return &c.Email },
	"phone":       func(c *Contact) *string { return &c.Phone },
	"first_name":  func(c *Contact) *string { return &c.FirstName },
	"last_name":   func(c *Contact) *string { return &c.LastName },
	"city":        func(c *Contact) *string { return &c.City },
	"state":       func(c *Contact) *string { return &c.State },
	"zip":         func(c *Contact) *string { return &c.Zip },
	"country":     func(c *Contact) *string { return &c.Country },
	"dob":         func(c *Contact) *string { return &c.DOB },
	"gender":      func(c *Contact) *string { return &c.Gender },
}

// longestContact is the most characters of a field of a contact.
const longestContact = 512

// ReadContacts reads customers, with a header that names the columns, and gives each line without a mistake to each, whose
// error ends it. The contact is valid during the call. The error has a line for each mistake and repeats nothing of what is
// written in the file: it is about people.
func ReadContacts(r io.Reader, each func(*Contact) error) error {
	t := openTable(r, time.Time{})
	columns := t.contactColumns()
	if err := t.err(); err != nil {
		return err
	}
	for fields, ok := t.next(); ok; fields, ok = t.next() {
		if len(fields) != len(columns) {
			t.add(t.line, "has %d fields, the header has %d", len(fields), len(columns))
			continue
		}
		var contact Contact
		good := true
		for i, field := range fields {
			if !utf8.ValidString(field) || utf8.RuneCountInString(field) > longestContact {
				t.add(t.line, "field %d is not a text of at most %d characters in UTF-8", i+1, longestContact)
				good = false
			}
			*columns[i](&contact) = field
		}
		if !good {
			continue
		}
		if err := each(&contact); err != nil {
			return err
		}
	}
	return t.err()
}

// contactColumns are the columns of the header in its order.
func (t *table) contactColumns() (columns []func(*Contact) *string) {
	known := map[string]bool{}
	for i, title := range t.header {
		title = strings.ToLower(title)
		column := contactColumns[title]
		switch {
		case column == nil:
			t.add(t.line, "column %d of the header is none of %s; columns are separated by commas, the text is UTF-8", i+1, strings.Join(slices.Sorted(maps.Keys(contactColumns)), ", "))
		case known[title]:
			t.add(t.line, "column %s stands twice in the header", title)
		}
		known[title] = true
		columns = append(columns, column)
	}
	if len(t.lines) == 0 && !known["customer_id"] && !known["email"] {
		t.add(t.line, "the header has neither customer_id nor email, by which customers are found")
	}
	return columns
}
