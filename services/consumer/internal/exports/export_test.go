package exports

import (
	"io"

	"github.com/onepx/onepx/services/consumer/internal/imports"
	"github.com/onepx/onepx/services/shared/jobs"
)

// The rules of the platforms, field by field.
var (
	GoogleEmail, GoogleName, GoogleZip            = googleEmail, googleName, googleZip
	MetaEmailHash, MetaPhone, MetaName, MetaPlace = metaEmailHash, metaPhone, metaName, metaPlace
	MetaZip, MetaBorn, MetaGender                 = metaZip, metaBorn, metaGender
	TikTokEmail, TikTokPhone, TradeDeskEmail      = tikTokEmail, tikTokPhone, tradeDeskEmail
	HexHash, Base64Hash, E164, Region, Platforms  = hexHash, base64Hash, e164, region, platforms
)

// Line is the line of a contact in a file of the format, nil when there is none.
func Line(format jobs.Format, c imports.Contact) (values []string, unusable uint64) {
	var l cells
	if platforms[format].line(&l, &c) {
		return l.values, l.unusable
	}
	return nil, l.unusable
}

// WriteLines writes a file of a platform.
func WriteLines(format jobs.Format, out io.Writer, lines ...[]string) error {
	w := newSheetWriter(platforms[format], out)
	for _, values := range lines {
		if err := w.write(values); err != nil {
			return err
		}
	}
	return w.close()
}

// WriteMembers writes a file of one of the formats for the site itself.
func WriteMembers(format jobs.Format, out io.Writer, members ...Member) error {
	w := newMemberWriter(format, out)
	for i := range members {
		if err := w.write(&members[i]); err != nil {
			return err
		}
	}
	return w.close()
}
