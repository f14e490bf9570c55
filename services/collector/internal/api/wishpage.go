package api

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"io/fs"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
	"golang.org/x/text/language"

	"github.com/onepx/onepx/services/shared/reason"
)

//go:embed wish.html wish.css wish
var wishFiles embed.FS

// wishPage is the page of /optout and /optin. Nothing in it comes from elsewhere, and it works without scripts.
var wishPage = template.Must(template.ParseFS(wishFiles, "wish.html"))

// wishStyle is its style, which only this hash allows.
var (
	wishStyle     = mustRead(wishFiles, "wish.css")
	wishStyleHash = func() string {
		sum := sha256.Sum256(wishStyle)
		return base64.StdEncoding.EncodeToString(sum[:])
	}()
)

// wishTexts are the page's texts in one language, as in wish/*.json.
type wishTexts struct {
	// Language is the BCP 47 tag, Direction ltr or rtl.
	Language  string `json:"language"`
	Direction string `json:"direction"`

	// OptOut and OptedOut are titles; OptOut and OptIn label the button.
	OptOut   string `json:"opt_out"`
	OptedOut string `json:"opted_out"`
	OptIn    string `json:"opt_in"`
	// Measured and NotMeasured are the states of a browser.
	Measured    string `json:"measured"`
	NotMeasured string `json:"not_measured"`
	// Those with a link: neither, both, or one of browser and person have opted out.
	LinkMeasured    string `json:"link_measured"`
	LinkNotMeasured string `json:"link_not_measured"`
	OnlyPerson      string `json:"only_person"`
	OnlyBrowser     string `json:"only_browser"`
	// About says what opting out does, AboutLink what it does besides by a link.
	About     string `json:"about"`
	AboutLink string `json:"about_link"`
	// GPC is for browsers that send Global Privacy Control.
	GPC string `json:"gpc"`
	// BadLink, TryAgain and NoCookie say what went wrong; OwnWindow opens the page where it is not embedded.
	BadLink   string `json:"bad_link"`
	TryAgain  string `json:"try_again"`
	NoCookie  string `json:"no_cookie"`
	OwnWindow string `json:"own_window"`

	// Those of the pages of links in e-mails: title and button, what it does, and what became of it.
	Unsubscribe       string `json:"unsubscribe"`
	UnsubscribeAbout  string `json:"unsubscribe_about"`
	Unsubscribed      string `json:"unsubscribed"`
	UnsubscribeFailed string `json:"unsubscribe_failed"`
	MailLinkBad       string `json:"mail_link_bad"`
	MailHidden        string `json:"mail_hidden"`
}

// languages are the texts of all languages; English, the first, is for whoever understands none. wishMatcher chooses.
var (
	languages   = readTexts("en", "ar", "de", "es", "fr", "it", "nl", "pl", "pt")
	wishMatcher = func() language.Matcher {
		var tags []language.Tag
		for _, texts := range languages {
			tags = append(tags, language.MustParse(texts.Language))
		}
		return language.NewMatcher(tags)
	}()
)

func readTexts(names ...string) []*wishTexts {
	var all []*wishTexts
	for _, name := range names {
		decoder := json.NewDecoder(bytes.NewReader(mustRead(wishFiles, "wish/"+name+".json")))
		decoder.DisallowUnknownFields()
		texts := &wishTexts{}
		if err := decoder.Decode(texts); err != nil {
			panic(name + ": " + err.Error()) // a typing error, found by the first test
		}
		all = append(all, texts)
	}
	return all
}

func mustRead(files fs.FS, name string) []byte {
	data, err := fs.ReadFile(files, name)
	if err != nil {
		panic(err) // not reached: it is part of the binary
	}
	return data
}

// wishView is what the page shows.
type wishView struct {
	*wishTexts
	Style template.CSS
	// Title, State and Alert are the words for what is; Alert may be "".
	Title, State, Alert string
	// Explain tells to say what opting out does; ByLink that it is by a link.
	Explain, ByLink, SendsGPC bool
	// Action is where the form goes, Button its label, Keep what it takes along.
	Action, Button string
	Keep           []string
	// Page is the page's own URL if it may help to open it in a window, or "".
	Page string
}

// answerWish writes the page, or the state for scripts.
func (s *Server) answerWish(c echo.Context, w *wish, status int) error {
	browser, named := optedOut(w.request), s.named(w)
	s.wishHeaders(c, w)
	if wantsJSON(w.request) {
		return c.JSON(status, map[string]any{"opted_out": browser, "gpc": gpc(w.request)})
	}
	var html bytes.Buffer
	if err := wishPage.Execute(&html, w.view(browser, named)); err != nil {
		return err
	}
	return c.HTMLBlob(status, html.Bytes())
}

// view decides what the page says. The button asks for what is not so yet; where only one of browser and person has opted
// out, it depends on the path.
func (w *wish) view(browser, named bool) *wishView {
	texts := textsFor(w.request)
	v := &wishView{
		wishTexts: texts, Style: template.CSS(wishStyle), SendsGPC: gpc(w.request), //nolint:gosec // our own file
		Title: texts.OptOut, Button: texts.OptOut, Action: w.url("/optout", false), Explain: true, ByLink: w.link != nil,
	}
	if browser && (named || w.link == nil) || w.path == "/optin" && (browser || named) {
		v.Title, v.Button, v.Action, v.Explain = texts.OptedOut, texts.OptIn, w.url("/optin", false), false
	}
	switch {
	case w.link == nil && browser:
		v.State = texts.NotMeasured
	case w.link == nil:
		v.State = texts.Measured
	case named && browser:
		v.State = texts.LinkNotMeasured
	case named:
		v.State = texts.OnlyPerson
	case browser:
		v.State = texts.OnlyBrowser
	default:
		v.State = texts.LinkMeasured
	}
	w.alert(v, browser)
	return v
}

// maxAcceptLanguage is how long the header may be to be looked at, in bytes.
const maxAcceptLanguage = 1024

// textsFor are those in the language that suits the browser best.
func textsFor(r *http.Request) *wishTexts {
	accept := strings.Join(r.Header.Values("Accept-Language"), ",")
	if len(accept) > maxAcceptLanguage {
		return languages[0]
	}
	_, index := language.MatchStrings(wishMatcher, accept)
	return languages[index]
}

// alert says what went wrong.
func (w *wish) alert(v *wishView, browser bool) {
	switch {
	case w.word == reason.WishesLimited || w.word == reason.SuppressionUnwritten:
		v.Alert, v.State, v.Explain = v.TryAgain, "", false
		v.Action, v.Keep = w.url(w.path, false), w.cookies
		v.Button = map[string]string{"/optout": v.OptOut, "/optin": v.OptIn}[w.path]
		v.Title = v.Button
	case w.badLink:
		v.Alert = v.BadLink
	case w.asked && w.path == "/optout" && !browser:
		v.Alert, v.Page = v.NoCookie, w.url(w.path, false)
	}
}

// wishHeaders are those of all answers. The site's own pages may embed the page, and their scripts may read the state.
func (*Server) wishHeaders(c echo.Context, w *wish) {
	header := c.Response().Header()
	ancestors := "'none'"
	if w.site != nil {
		ancestors = strings.Join(append([]string{"'self'"}, w.site.AllowedOrigins...), " ")
	}
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+wishStyleHash+"'; form-action 'self'; base-uri 'none'; frame-ancestors "+ancestors)
	header.Set("X-Content-Type-Options", "nosniff")
	// Not no-referrer: then browsers would say `Origin: null` of our own form, as if it were another site's.
	header.Set("Referrer-Policy", "same-origin")
	if wantsJSON(w.request) {
		allowOrigin(header, w.request, w.site != nil && w.site.AllowsOrigin(w.request.Header.Get("Origin")))
	}
}
