package jobs

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Format is what the files of an export look like; docs/audiences.md has their columns.
type Format string

// The formats. The first three are for the site itself and hold ids of visitors. The others are for platforms: they hold hashes
// of what the site knows of its customers, and only people who allow sharing.
const (
	CSV                 Format = "csv"
	NDJSON              Format = "ndjson"
	Parquet             Format = "parquet"
	GoogleCustomerMatch Format = "google_customer_match"
	Meta                Format = "meta"
	TikTok              Format = "tiktok"
	TheTradeDesk        Format = "the_trade_desk"
)

// Formats are all formats.
var Formats = []Format{CSV, NDJSON, Parquet, GoogleCustomerMatch, Meta, TikTok, TheTradeDesk}

// Shared tells whether files of the format go to somebody else, so that people must allow sharing and contacts are needed.
func (f Format) Shared() bool { return f != CSV && f != NDJSON && f != Parquet }

// List is what an export writes: the members of a segment of the job's site.
type List struct {
	Segment string `json:"segment"`
	Format  Format `json:"format"`
	// Contacts is the name of the site's file of customers, without folder and ending; empty unless the format is shared.
	Contacts string `json:"contacts,omitempty"`
}

// name is an id of a site or segment, or the name of a file of contacts: they become parts of paths.
var name = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// Validate checks that the names are such and that the format has what it needs.
func (l *List) Validate() error {
	if l == nil {
		return errors.New("the list is missing")
	}
	var errs []error
	for _, n := range []struct{ what, text string }{{"segment", l.Segment}, {"contacts", l.Contacts}} {
		if !name.MatchString(n.text) && (n.what != "contacts" || n.text != "") {
			errs = append(errs, fmt.Errorf("%s must have 1 to 64 of a-z, 0-9, _ and -, the first one no sign", n.what))
		}
	}
	switch {
	case !slices.Contains(Formats, l.Format):
		errs = append(errs, fmt.Errorf("format %q is unknown; there are %s", l.Format, strings.Join(FormatNames(), ", ")))
	case l.Format.Shared() && l.Contacts == "":
		errs = append(errs, fmt.Errorf("format %s needs contacts", l.Format))
	case !l.Format.Shared() && l.Contacts != "":
		errs = append(errs, fmt.Errorf("format %s takes no contacts", l.Format))
	}
	return errors.Join(errs...)
}

// FormatNames are the formats as texts.
func FormatNames() []string {
	names := make([]string, len(Formats))
	for i, f := range Formats {
		names[i] = string(f)
	}
	return names
}
