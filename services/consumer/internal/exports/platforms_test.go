package exports_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/services/consumer/internal/exports"
	"github.com/onepx/onepx/services/consumer/internal/exports/exporttest"
	"github.com/onepx/onepx/services/consumer/internal/imports"
	"github.com/onepx/onepx/services/shared/jobs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEachPlatformHasItsOwnRuleForAddresses(t *testing.T) {
	for _, tc := range []struct{ name, given, google, meta, tikTok, tradeDesk string }{
		{"an address", "user@example.com", "user@example.com", "user@example.com", "user@example.com", "user@example.com"},
		{"case and spaces around", "\t JaneDoe@Gmail.com ", "janedoe@gmail.com", "janedoe@gmail.com", "janedoe@gmail.com", "janedoe@gmail.com"},
		{"a dot, but not at Gmail", "alex.2@example.com", "alex.2@example.com", "alex.2@example.com", "alex.2@example.com", "alex.2@example.com"},
		{"dots at Gmail", "jane.d.oe@gmail.com", "janedoe@gmail.com", "jane.d.oe@gmail.com", "jane.d.oe@gmail.com", "janedoe@gmail.com"},
		{"dots at Gmail's other name", "jane.doe@googlemail.com", "janedoe@googlemail.com", "jane.doe@googlemail.com", "jane.doe@googlemail.com", "jane.doe@googlemail.com"},
		{"a tag at Gmail", "janedoe+home@gmail.com", "janedoe+home@gmail.com", "janedoe+home@gmail.com", "janedoe@gmail.com", "janedoe@gmail.com"},
		{"a tag elsewhere", "JaneSaoirse+Work@example.com", "janesaoirse+work@example.com", "janesaoirse+work@example.com", "janesaoirse@example.com", "janesaoirse+work@example.com"},
		{"a space within", "jane doe@example.com", "janedoe@example.com", "", "janedoe@example.com", ""},
		{"letters that Meta doesn't take", "jürgen@example.com", "jürgen@example.com", "", "", ""},
		{"a sign at the beginning", "_x@example.com", "_x@example.com", "_x@example.com", "", "_x@example.com"},
		{"no domain", "jane@", "", "", "", ""},
		{"no top-level domain", "jane@example", "", "", "", ""},
		{"two at signs", "a@b@example.com", "", "", "", ""},
		{"nothing but dots before the at sign", "..@gmail.com", "", "..@gmail.com", "", ""},
		{"nothing", "", "", "", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, tc.google, exports.GoogleEmail(tc.given), "Google")
			require.Equal(t, exports.HexHash(tc.meta), exports.MetaEmailHash(tc.given), "Meta")
			if tc.name != "letters that Meta doesn't take" {
				require.Equal(t, tc.tikTok, exports.TikTokEmail(tc.given), "TikTok")
				require.Equal(t, tc.tradeDesk, exports.TradeDeskEmail(tc.given), "The Trade Desk")
			}
		})
	}
}

func TestHashesAreThoseThatThePlatformsGiveAsExamples(t *testing.T) {
	for _, tc := range []struct{ name, got, want string }{
		{"TikTok: an address", exports.HexHash(exports.TikTokEmail("janedoe@gmail.com")), "d6117306485ed0e50afab3ac871e98f81699151f30281527d63ff5f233656c69"},
		{"TikTok: a number", exports.HexHash(exports.TikTokPhone("+37493828222", "")), "65b7e6dcf6f4310f8d7cbfbd78289a753062fb054d6664fb9aaac5df66a422d4"},
		{"TikTok: a number with hyphens, by its country", exports.HexHash(exports.TikTokPhone("374-93-828222", "AM")), "65b7e6dcf6f4310f8d7cbfbd78289a753062fb054d6664fb9aaac5df66a422d4"},
		{"Google: a dot stays, but at Gmail", exports.HexHash(exports.GoogleEmail("alex.2@example.com")), "97a24240e3c76dfc0abdb63a3d73468ff8d94b81fd3dc084cc32994ba4fad7fe"},
		{"UID2: example.com", exports.HexHash(exports.TradeDeskEmail("user@example.com")), "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514"},
		{"UID2: example.com in base64", exports.Base64Hash(exports.TradeDeskEmail("user@example.com")), "tMmiiTI7IaAcPpQPFQ65uMVCWH8av9jw4cwf/F5HVRQ="},
		{"UID2: upper case", exports.Base64Hash(exports.TradeDeskEmail("MYEMAIL@example.com")), "FsGNM28LJQ8OLZB0Us65ZYp07NrovJSGTCMSKnLMJ6U="},
		{"UID2: a dot", exports.Base64Hash(exports.TradeDeskEmail("My.Email@example.com")), "4itTvG+HEnTzpiqzejyu1yFPwU1nYhWpaiQvz62hyB8="},
		{"UID2: a dot in lower case", exports.Base64Hash(exports.TradeDeskEmail("Jane.Saoirse@example.com")), "sZZDLHuYmiypHIN5mVfFFdpT5sE6vyC3j+qU8RfpC/g="},
		{"UID2: a tag", exports.Base64Hash(exports.TradeDeskEmail("JaneSaoirse+Work@example.com")), "KKruSBUjDNO069iMUVImVQZm6RrAGZKeOtrD9mwogYA="},
		{"UID2: Gmail with a dot", exports.Base64Hash(exports.TradeDeskEmail("JANE.SAOIRSE@gmail.com")), "ku4mBX7Z3qJTXWyLFB1INzkyR2WZGW4ANSJUiW21iI8="},
		{"UID2: Gmail with a tag", exports.Base64Hash(exports.TradeDeskEmail("JaneSaoirse+Work@gmail.com")), "ku4mBX7Z3qJTXWyLFB1INzkyR2WZGW4ANSJUiW21iI8="},
		{"Meta: what is a hash already", exports.MetaEmailHash("D6117306485ed0e50afab3ac871e98f81699151f30281527d63ff5f233656c69"), "d6117306485ed0e50afab3ac871e98f81699151f30281527d63ff5f233656c69"},
		{"Meta: a hash of 32 digits", exports.MetaEmailHash("0123456789abcdef0123456789abcdef"), "0123456789abcdef0123456789abcdef"},
	} {
		t.Run(tc.name, func(t *testing.T) { require.Equal(t, tc.want, tc.got) })
	}
	require.NotEqual(t, "b607a23a", exports.HexHash(exports.GoogleEmail("alex.2@example.com"))[:8], "what Google's sample code sends")
}

func TestTelephoneNumbersAreKnownByTheirCountry(t *testing.T) {
	for _, tc := range []struct{ name, phone, country, want string }{
		{"as the world writes it", "+49 (151) 123-456 78", "", "+4915112345678"},
		{"with zeros for the plus", "0049 151 12345678", "US", "+4915112345678"},
		{"the plus goes before the country", "+37493828222", "US", "+37493828222"},
		{"a number of the country", "(02) 1234 5678", "AU", "+61212345678"},
		{"with an optional zero", "+49 (0)151 12345678", "", "+4915112345678"},
		{"a country of three letters", "0151 12345678", "deu", "+4915112345678"},
		{"an American one with its code and no country", "1 (234) 567-8901", "", "+12345678901"},
		{"no code and no country", "0151 12345678", "", ""},
		{"a country that is none", "0151 12345678", "Germany", ""},
		{"too short", "+49 1", "", ""},
		{"no number", "ask Anna", "DE", ""},
		{"nothing", "", "DE", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, tc.want, exports.E164(tc.phone, tc.country))
			require.Equal(t, strings.TrimPrefix(tc.want, "+"), exports.MetaPhone(tc.phone, tc.country))
		})
	}
}

func TestTheOtherFieldsFollowEachPlatform(t *testing.T) {
	for _, tc := range []struct{ name, got, want string }{
		{"Google: a name", exports.GoogleName("  Anna  MARIA "), "anna maria"},
		{"Google: accents stay", exports.GoogleName("Zoë"), "zoë"},
		{"Google: a postcode", exports.GoogleZip(" wc2h 8lg "), "WC2H 8LG"},
		{"Google: a postcode with four digits more", exports.GoogleZip("94016-1234"), "94016-1234"},
		{"Google: a formula is no postcode", exports.GoogleZip("=HYPERLINK(1)"), ""},
		{"Google: the United Kingdom", exports.Region("UK"), "GB"},
		{"Google: a continent is no country", exports.Region("150"), ""},
		{"Meta: a city", exports.MetaPlace("Frankfurt (Main) 1"), "frankfurtmain"},
		{"Meta: a state", exports.MetaPlace("N. Carolina"), "ncarolina"},
		{"Meta: a postcode", exports.MetaZip("94016-1234"), "94016"},
		{"Meta: a British postcode", exports.MetaZip("WC2H 8LG"), "wc2h8lg"},
		{"Meta: a name", exports.MetaName(" O'Neil "), "o'neil"},
		{"Meta: a gender", exports.MetaGender("Female"), "f"},
		{"Meta: another gender", exports.MetaGender("d"), ""},
	} {
		t.Run(tc.name, func(t *testing.T) { require.Equal(t, tc.want, tc.got) })
	}
	born, year := exports.MetaBorn("1987-02-16")
	require.Equal(t, "19870216 1987", born+" "+year)
	for _, wrong := range []string{"16.2.1987", "1987-02-30", "0087-02-16", ""} {
		born, year := exports.MetaBorn(wrong)
		require.Empty(t, born+year)
	}
}

func TestALineHasOnlyWhatIsOfUse(t *testing.T) {
	got, unusable := exports.Line(jobs.GoogleCustomerMatch, imports.Contact{Email: "a@example.com", FirstName: "Anna", LastName: "Berg", Country: "DE"})
	require.Equal(t, []string{exports.HexHash("a@example.com"), "", "", "", "", ""}, got, "names are of use with a postcode only")
	require.Zero(t, unusable)
	got, _ = exports.Line(jobs.GoogleCustomerMatch, imports.Contact{FirstName: "Anna", LastName: "Berg", Country: "deu", Zip: "10115"})
	require.Equal(t, []string{"", "", exports.HexHash("anna"), exports.HexHash("berg"), "DE", "10115"}, got)
	got, unusable = exports.Line(jobs.TikTok, imports.Contact{Email: "anna", Phone: "0151 12345678"})
	require.Nil(t, got)
	require.EqualValues(t, 2, unusable)
	got, _ = exports.Line(jobs.Meta, imports.Contact{City: "Berlin"})
	require.Nil(t, got)
	got, _ = exports.Line(jobs.TheTradeDesk, imports.Contact{Phone: "+4915112345678"})
	require.Nil(t, got)
}

// contact has something of everything.
var contact = imports.Contact{
	Email: "Jane.Doe+shop@gmail.com", Phone: "+1 650 555 1212", FirstName: "Jane", LastName: "Doe", City: "Palo Alto", State: "CA",
	Zip: "94301", Country: "us", DOB: "1987-02-16", Gender: "f",
}

func TestFilesOfPlatformsAreAsTheirRulesSay(t *testing.T) {
	for format := range exports.Platforms {
		t.Run(string(format), func(t *testing.T) {
			var file bytes.Buffer
			values, unusable := exports.Line(format, contact)
			require.Zero(t, unusable)
			require.NoError(t, exports.WriteLines(format, &file, values, values, values))
			lines, err := exporttest.Check(format, file.Bytes())
			require.NoError(t, err)
			require.Len(t, lines, 3)
			require.NotContains(t, lines[0], "", "every column of a contact who gave everything is filled")

			var empty bytes.Buffer
			require.NoError(t, exports.WriteLines(format, &empty))
			lines, err = exporttest.Check(format, empty.Bytes())
			require.NoError(t, err)
			require.Empty(t, lines)
		})
	}
}

// hostile are ids of products as pages may send them.
var hostile = []string{"=cmd|'/C calc'!A0", "+1", "-1", "@SUM(1)", "a;=1+1", "a,b", `say "hi"`, "tab\there", "line\nbreak", "żółw 🐢", ""}

func TestOwnFormatsHoldEverythingAndNoFormula(t *testing.T) {
	at := time.Date(2026, 11, 24, 10, 0, 0, 123e6, time.UTC)
	for _, format := range []jobs.Format{jobs.CSV, jobs.NDJSON, jobs.Parquet} {
		t.Run(string(format), func(t *testing.T) {
			files := make([]string, 2)
			for i := range files {
				var file bytes.Buffer
				members := make([]exports.Member, 1000)
				for n := range members {
					m := exports.Member{VisitorID: uuid.NewSHA1(uuid.Nil, []byte{byte(n), byte(n >> 8)}), QualifiedAt: at, EndsAt: at.Add(time.Hour)}
					if n%2 == 0 {
						m.Products = hostile
					}
					members[n] = m
				}
				require.NoError(t, exports.WriteMembers(format, &file, members...))
				files[i] = file.String()
			}
			require.Equal(t, files[0], files[1], "the same members make the same file")
			rows, err := exporttest.Check(format, []byte(files[0]))
			require.NoError(t, err)
			require.Len(t, rows, 1000)
			require.Equal(t, uuid.NewSHA1(uuid.Nil, []byte{0, 0}).String(), rows[0][0])
			require.Equal(t, []string{"[]", "2026-11-24T10:00:00.123Z", "2026-11-24T11:00:00.123Z"}, rows[1][1:])
			var products []string
			require.NoError(t, json.Unmarshal([]byte(rows[0][1]), &products))
			require.Equal(t, hostile, products)
		})
	}
}

func TestASpreadsheetThatSplitsAtSemicolonsFindsNoFormula(t *testing.T) {
	var file bytes.Buffer
	require.NoError(t, exports.WriteMembers(jobs.CSV, &file, exports.Member{Products: hostile}))
	cells := csv.NewReader(&file)
	cells.Comma, cells.LazyQuotes, cells.FieldsPerRecord = ';', true, -1
	lines, err := cells.ReadAll()
	require.NoError(t, err)
	for _, line := range lines {
		require.Len(t, line, 1)
		require.NotContains(t, "=+-@", line[0][:1])
	}
}

func TestFilesThatAPlatformWouldRefuseAreKnown(t *testing.T) {
	hash := exports.HexHash("x")
	for _, tc := range []struct {
		name   string
		format jobs.Format
		file   string
	}{
		{"a byte order mark", jobs.TikTok, "\ufeffEmail_SHA256\n" + hash + "\n"},
		{"UTF-16", jobs.TikTok, "E\x00m\x00"},
		{"a German header", jobs.GoogleCustomerMatch, "E-Mail\n" + hash + "\n"},
		{"a hashed postcode", jobs.GoogleCustomerMatch, "First Name,Last Name,Country,Zip\n" + hash + "," + hash + ",DE," + hash + "\n"},
		{"names without a country", jobs.GoogleCustomerMatch, "Email,First Name,Last Name,Country,Zip\n" + hash + "," + hash + "," + hash + ",,10115\n"},
		{"upper-case hex", jobs.Meta, "email\n" + strings.ToUpper(hash) + "\n"},
		{"an address in the clear", jobs.Meta, "email\nanna@example.com\n"},
		{"a header that stands four times", jobs.TikTok, "Email_SHA256,Email_SHA256,Email_SHA256,Email_SHA256\n"},
		{"a line of nobody", jobs.TikTok, "Email_SHA256,Phone_SHA256\n,\n"},
		{"hex instead of base64", jobs.TheTradeDesk, hash + "\n"},
		{"a header where there is none", jobs.TheTradeDesk, "email\n"},
		{"a formula", jobs.CSV, "visitor_id,products,qualified_at,ends_at\n=1,[],2026-11-24T10:00:00Z,2026-11-24T10:00:00Z\n"},
		{"an object without products", jobs.NDJSON, `{"visitor_id":"` + uuid.NewString() + `"}` + "\n"},
		{"no Parquet", jobs.Parquet, "PAR1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := exporttest.Check(tc.format, []byte(tc.file))
			require.Error(t, err)
		})
	}
}

func FuzzLinesOfPlatforms(f *testing.F) {
	f.Add(contact.Email, contact.Phone, contact.Zip, contact.Country, contact.FirstName, contact.DOB)
	f.Add("..@gmail.com", "00", "-", "zz", "=1", "1987-02-30")
	f.Add("+@example.com", "+", " ", "\x00", "\xff", "9999-12-31")
	f.Fuzz(func(t *testing.T, email, phone, zip, country, name, born string) {
		c := imports.Contact{Email: email, Phone: phone, Zip: zip, Country: country, FirstName: name, LastName: name, City: name, State: name, DOB: born, Gender: name}
		for format := range exports.Platforms {
			values, _ := exports.Line(format, c)
			if values == nil || format == jobs.Meta && len(values[0]) == 32 { // a hash of 32 digits that was given is passed on
				continue
			}
			var file bytes.Buffer
			require.NoError(t, exports.WriteLines(format, &file, values))
			_, err := exporttest.Check(format, file.Bytes())
			require.NoError(t, err)
		}
	})
}
