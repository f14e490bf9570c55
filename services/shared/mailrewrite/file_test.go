package mailrewrite_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/mailrewrite"
)

// multipart is a message of parts, each as it is after the name of its Content-Type.
func multipart(kind string, parts ...string) string {
	out := head + "Content-Type: multipart/" + kind + "; boundary=b\r\n\r\n"
	for _, part := range parts {
		out += "--b\r\nContent-Type: " + part + "\r\n"
	}
	return out + "--b--\r\n"
}

func TestTextPartsThatAreFilesStayAsTheyWere(t *testing.T) {
	const body = "\r\n\r\n<a href=\"https://shop.example/\">{{name}}</a>"
	const plain, shown = "text/plain" + body, "text/html" + body
	for name, file := range map[string]string{
		"inline with a filename": "text/html\r\nContent-Disposition: inline; filename=\"offer.html\"" + body,
		"with a name":            "text/html; name=offer.html" + body,
		"with a folded name":     "text/html;\r\n charset=utf-8;\r\n NAME=\"offer.html\"" + body,
		"with a name in pieces":  "text/html\r\nContent-Disposition: inline; filename*0*=utf-8''off; filename*1=er.html" + body,
		"with a broken header":   "text/html; name=my offer.html" + body,
		"of plain text":          "text/plain; name=terms.txt" + body,
	} {
		for _, first := range []string{plain, shown} {
			out := render(t, multipart("mixed", first, file), mailrewrite.Recipient{Token: anna, Data: map[string]string{"name": "A"}})
			require.True(t, strings.HasSuffix(out, "Content-Type: "+file+"\r\n--b--\r\n"), name)
			require.Len(t, clickForm.FindAllString(out, -1), 1, name)
			require.Equal(t, first == shown, pixelForm.MatchString(out), name)
		}
	}
}

func TestTextPartsThatAreShownAreNoFilesWhateverTheirNames(t *testing.T) {
	const link = "\r\n\r\n<a href=\"https://shop.example/\">x</a>"
	const plain, named = "text/plain\r\n\r\nx", "text/html; name=mail.html" + link
	inner := "multipart/related; boundary=c\r\n\r\n--c\r\nContent-Type: " + named + "\r\n--c\r\nContent-Type: image/png; name=x.png\r\n\r\nx\r\n--c--"
	for name, message := range map[string]string{
		"the whole message":        head + "Content-Type: " + named,
		"the first text":           multipart("mixed", "image/png\r\n\r\nx", named),
		"an alternative":           multipart("alternative", plain, named),
		"an alternative in itself": multipart("alternative", plain, inner),
	} {
		out := render(t, message, mailrewrite.Recipient{Token: anna})
		require.Len(t, clickForm.FindAllString(out, -1), 1, name)
		require.Len(t, pixelForm.FindAllString(out, -1), 1, name)
	}
}
