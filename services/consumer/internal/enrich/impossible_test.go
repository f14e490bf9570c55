package enrich_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/enrich"
)

// notBrowsers has a user agent for each rule on browsers that there can't be.
var notBrowsers = map[string]string{
	"browser_version":   "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/999.0.0.0 Safari/537.36",
	"windows_version":   "Mozilla/5.0 (Windows NT 11.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
	"two_systems":       "Mozilla/5.0 (iPhone; Windows NT 10.0) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
	"internet_explorer": "Mozilla/5.0 (compatible; MSIE 10.0; Android 12; Trident/6.0)",
	"safari_on_windows": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15",
	"blink_on_ios":      "Mozilla/5.0 (iPhone; CPU iPhone OS 11_0 like Mac OS X) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/53.0.5491.1183 Mobile Safari/537.36",
	"no_system":         "Mozilla/5.0 ( ) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
	"header_name":       "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
}

func TestABrowserThatThereCanNotBeIsKnownByARule(t *testing.T) {
	require.Len(t, notBrowsers, len(enrich.Impossibilities()))
	for rule, userAgent := range notBrowsers {
		require.Equal(t, rule, enrich.Impossible(userAgent), userAgent)
	}
	for name, test := range map[string]struct{ userAgent, rule string }{
		"a version that is no number":                 {"Mozilla/5.0 (X11; Linux x86_64) Firefox/99999999999999999999", "browser_version"},
		"Firefox on a phone of the far future":        {"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/500.0 Mobile/15E148", "browser_version"},
		"Android and Windows":                         {"Mozilla/5.0 (Windows NT 10.0; Android 13) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36", "two_systems"},
		"Internet Explorer on an iPad":                {"Mozilla/5.0 (iPad; Trident/7.0; rv:11.0) like Gecko", "internet_explorer"},
		"a header in quotes":                          {`"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"`, "header_name"},
		"the highest version before":                  {"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/499.0.0.0 Safari/537.36", ""},
		"a number behind that is no version":          {"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0 Build/99999", ""},
		"a Windows Phone names Android and iPhone":    {"Mozilla/5.0 (Mobile; Windows Phone 8.1; Android 4.0; ARM; Trident/7.0; Touch; rv:11.0; IEMobile/11.0; NOKIA; Lumia 930) like iPhone OS 7_0_3 Mac OS X AppleWebKit/537 (KHTML, like Gecko) Mobile Safari/537", ""},
		"Windows 10 on a phone with Edge":             {"Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/52.0.2743.116 Mobile Safari/537.36 Edge/15.15254", ""},
		"the last Safari for Windows":                 {"Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/534.57.2 (KHTML, like Gecko) Version/5.1.7 Safari/534.57.2", ""},
		"Internet Explorer on Windows":                {"Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko", ""},
		"Internet Explorer on a Mac":                  {"Mozilla/4.0 (compatible; MSIE 5.23; Mac_PowerPC)", ""},
		"an old Opera that says Internet Explorer":    {"Mozilla/4.0 (compatible; MSIE 6.0; Android; en) Opera 11.10", ""},
		"Chrome on an iPhone":                         {"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.7444.77 Mobile/15E148 Safari/604.1", ""},
		"Android inside of Windows":                   {"Mozilla/5.0 (Linux; Android 13; Subsystem for Android(TM)) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36", ""},
		"Java's browser on Windows":                   {"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/605.1.15 (KHTML, like Gecko) JavaFX/17 Safari/605.1.15", ""},
		"a user agent that was cut off in the system": {"Mozilla/5.0 (", ""},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, test.rule, enrich.Impossible(test.userAgent)) })
	}
}

func TestTheDocumentationHasEveryClassAndRule(t *testing.T) {
	text, err := os.ReadFile("../../../../docs/quality.md")
	require.NoError(t, err)
	for _, word := range append(enrich.Impossibilities(), enrich.TrafficClasses...) {
		require.Contains(t, string(text), "| `"+word+"` |")
	}
}
