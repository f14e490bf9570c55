// Package tag serves the JavaScript tag: t.js, minified to t.min.js by tools/tagbuild. A script that is served under a
// site's own path sends to the site's own paths; but for that all are the same, so browsers and proxies may keep them.
package tag

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	_ "embed" // the script
	"encoding/hex"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/onepx/onepx/services/shared/siteconfig"
)

//go:embed t.min.js
var script string

// maxAge is how long browsers use the tag without asking: a new one is everywhere within the hour.
const maxAge = "public, max-age=3600"

// Tag is the script for certain paths. It answers GET and HEAD.
type Tag struct {
	plain, zipped form
}

// form is the script as it is sent.
type form struct {
	body []byte
	// etag is quoted; each form has its own (RFC 9110, 8.8.3.3).
	etag string
}

// New returns the tag that sends to these paths, and to the native ones where there is none.
func New(paths siteconfig.Paths) *Tag {
	quoted := func(path string) string { return `"` + path + `"` } // needs no escaping, see siteconfig.Paths
	native := siteconfig.NativePaths
	body := []byte(strings.NewReplacer(
		quoted(native.Events), quoted(cmp.Or(paths.Events, native.Events)),
		quoted(native.Pixel), quoted(cmp.Or(paths.Pixel, native.Pixel)),
	).Replace(script))
	sum := sha256.Sum256(body)
	version := hex.EncodeToString(sum[:8])
	return &Tag{plain: form{body, `"` + version + `"`}, zipped: form{compress(body), `"` + version + `-gzip"`}}
}

func compress(data []byte) []byte {
	var out bytes.Buffer
	writer, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is valid
	_, _ = writer.Write(data)                                    // a buffer takes everything
	_ = writer.Close()
	return out.Bytes()
}

// ServeHTTP answers with the script, or with 304 if the client has it.
func (t *Tag) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header, sent := w.Header(), t.plain
	header.Set("Content-Type", "text/javascript; charset=utf-8")
	header.Set("Cache-Control", maxAge)
	header.Set("Vary", "Accept-Encoding")
	header.Set("Cross-Origin-Resource-Policy", "cross-origin")
	header.Set("Access-Control-Allow-Origin", "*") // for crossorigin and integrity attributes; nothing of it is private
	header.Set("Timing-Allow-Origin", "*")
	header.Set("X-Content-Type-Options", "nosniff")
	if takesGzip(r.Header.Values("Accept-Encoding")) {
		sent = t.zipped
		header.Set("Content-Encoding", "gzip")
	}
	header.Set("Etag", sent.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(sent.body))
}

// takesGzip reads Accept-Encoding (RFC 9110, 12.5.3): whether gzip is named, and not with a weight of nought.
func takesGzip(lines []string) bool {
	for coding := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		name, parameters, err := mime.ParseMediaType(coding)
		if err != nil || name != "gzip" {
			continue
		}
		weight, err := strconv.ParseFloat(cmp.Or(parameters["q"], "1"), 64)
		return err == nil && weight > 0
	}
	return false
}
