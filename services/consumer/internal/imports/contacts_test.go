package imports_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/imports"
)

func contacts(file string) (all []imports.Contact, err error) {
	err = imports.ReadContacts(strings.NewReader(file), func(c *imports.Contact) error {
		all = append(all, *c)
		return nil
	})
	return all, err
}

func TestContactsAreReadByTheNamesOfTheirColumns(t *testing.T) {
	for _, tc := range []struct {
		name, file string
		want       []imports.Contact
	}{
		{"some columns in any order and case", "Email,customer_id\nanna@example.com,17\n,18\n", []imports.Contact{{Email: "anna@example.com", CustomerID: "17"}, {CustomerID: "18"}}},
		{"as spreadsheets write it", "\ufeff\"email\",\"first_name\"\r\n\r\n\" anna@example.com \",\"Anna, Maria\"\r\n", []imports.Contact{{Email: "anna@example.com", FirstName: "Anna, Maria"}}},
		{"all columns", "customer_id,email,phone,first_name,last_name,city,state,zip,country,dob,gender\n1,2,3,4,5,6,7,8,9,10,11\n", []imports.Contact{{
			CustomerID: "1", Email: "2", Phone: "3", FirstName: "4", LastName: "5", City: "6", State: "7", Zip: "8", Country: "9", DOB: "10", Gender: "11",
		}}},
		{"nobody", "email\n", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := contacts(tc.file)
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
}

func TestMistakesInContactsAreNamedWithTheirLinesAndWithoutWhatIsWrittenThere(t *testing.T) {
	const allowed = " is none of city, country, customer_id, dob, email, first_name, gender, last_name, phone, state, zip; columns are separated by commas, the text is UTF-8"
	for _, tc := range []struct{ name, file, want string }{
		{"an empty file", "", "line 1: the file is empty"},
		{"no header", "anna@example.com,17\n", "line 1: column 1 of the header" + allowed + "\nline 1: column 2 of the header" + allowed},
		{"semicolons", "email;customer_id\nanna@example.com;17\n", "line 1: column 1 of the header" + allowed},
		{"UTF-16", "\xff\xfee\x00m\x00a\x00i\x00l\x00\n\x00", "line 1: column 1 of the header" + allowed},
		{"nothing by which customers are found", "phone,city\n", "line 1: the header has neither customer_id nor email, by which customers are found"},
		{"a column twice", "email,EMAIL\n", "line 1: column email stands twice in the header"},
		{"too few and too many fields", "email,phone\nanna@example.com\na@example.com,1,2\n", "line 2: has 1 fields, the header has 2\nline 3: has 3 fields, the header has 2"},
		{"another encoding", "email,city\nanna@example.com,K\xf6ln\n", "line 2: field 2 is not a text of at most 512 characters in UTF-8"},
		{"a text that is too long", "email\n" + strings.Repeat("a", 513) + "\n", "line 2: field 1 is not a text of at most 512 characters in UTF-8"},
		{"a quotation mark without its end", "email\n\"anna@example.com\n" + strings.Repeat("x\n", 1<<20), "line 2: has more than 1048576 bytes: a quote may be missing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := contacts(tc.file)
			require.EqualError(t, err, tc.want)
			require.NotContains(t, err.Error(), "anna")
		})
	}
}

func TestReadingContactsEndsWithTheFirstErrorOfWhoTakesThem(t *testing.T) {
	full, n := errors.New("full"), 0
	err := imports.ReadContacts(strings.NewReader("email\na\nb\n"), func(*imports.Contact) error {
		n++
		return full
	})
	require.ErrorIs(t, err, full)
	require.Equal(t, 1, n)
}

// endless is a file without end and without a quotation mark's end.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	if e.read += len(p); e.read > 64<<20 {
		return 0, io.ErrUnexpectedEOF
	}
	for i := range p {
		p[i] = '"'
		if e.read > 1000 {
			p[i] = 'x'
		}
	}
	return len(p), nil
}

func TestALineWithoutEndIsNotReadIntoMemory(t *testing.T) {
	source := &endless{}
	err := imports.ReadContacts(io.MultiReader(strings.NewReader("email\n\""), source), func(*imports.Contact) error { return nil })
	require.Error(t, err)
	require.Less(t, source.read, 2<<20)
}

func FuzzReadContacts(f *testing.F) {
	f.Add("email,phone\nanna@example.com,+4915112345678\n")
	f.Add("customer_id\n\"17\n")
	f.Fuzz(func(t *testing.T, file string) {
		all, _ := contacts(file)
		for _, c := range all {
			require.True(t, utf8.ValidString(c.Email) && utf8.RuneCountInString(c.Email) <= 512)
		}
	})
}
