package exports

import (
	"regexp"
	"strings"

	"github.com/onepx/onepx/services/consumer/internal/imports"
)

// googleHeader has the names that Google Ads wants, in English (https://support.google.com/google-ads/answer/7659867). With all
// of them in the file mailing addresses are matched too.
var googleHeader = []string{"Email", "Phone", "First Name", "Last Name", "Country", "Zip"}

// googleLine is a line of Customer Match. Country and postcode are not hashed (https://support.google.com/google-ads/answer/7474263).
// They and the names are of use only together, so nothing of them is sent when one is missing.
func googleLine(line *cells, c *imports.Contact) bool {
	line.add(c.Email, hexHash(googleEmail(c.Email)))
	line.add(c.Phone, hexHash(e164(c.Phone, c.Country)))
	found := line.values[0] != "" || line.values[1] != ""
	first, last, country, zip := googleName(c.FirstName), googleName(c.LastName), region(c.Country), googleZip(c.Zip)
	if first == "" || last == "" || country == "" || zip == "" {
		line.values = append(line.values, "", "", "", "")
		return found
	}
	line.values = append(line.values, hexHash(first), hexHash(last), country, zip)
	return true
}

// googleEmail is an address in lower case without spaces; of gmail.com and googlemail.com without the dots before the @, and of
// no others. That is the published rule (https://support.google.com/google-ads/answer/7659867, and the docstring of
// normalize_and_hash_email_address in google-ads-python's upload_enhanced_conversions_for_leads.py); the code below that
// docstring takes dots and plus signs out of the addresses of all domains, by which nobody else's would be found.
func googleEmail(text string) string {
	local, domain, ok := mailbox(strings.ToLower(withoutSpaces(text)))
	if !ok {
		return ""
	}
	if domain == "gmail.com" || domain == "googlemail.com" {
		if local = strings.ReplaceAll(local, ".", ""); local == "" {
			return ""
		}
	}
	return local + "@" + domain
}

// googleName is a name in lower case without spaces around it, and one between its words.
func googleName(text string) string { return strings.ToLower(strings.Join(strings.Fields(text), " ")) }

// postcode is one of any country. It can't be taken for a formula by a spreadsheet.
var postcode = regexp.MustCompile(`^[A-Z0-9]([A-Z0-9 -]{0,14}[A-Z0-9])?$`)

// googleZip is a postcode of any country; US ones may have four digits more.
func googleZip(text string) string {
	if text = strings.ToUpper(strings.TrimSpace(text)); postcode.MatchString(text) {
		return text
	}
	return ""
}
