package identity_test

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/identity"
)

const (
	cookieKind   = onepxv1.VisitorKind_VISITOR_KIND_COOKIE
	mintedKind   = onepxv1.VisitorKind_VISITOR_KIND_MINTED
	providedKind = onepxv1.VisitorKind_VISITOR_KIND_PROVIDED
	hashKind     = onepxv1.VisitorKind_VISITOR_KIND_DAILY_HASH
	noKind       = onepxv1.VisitorKind_VISITOR_KIND_NONE
)

var maker = identity.New("0123456789abcdef0123456789abcdef")

func request(change func(*identity.Request)) identity.Request {
	r := identity.Request{
		At: time.Date(2026, 11, 25, 23, 59, 59, 0, time.UTC), Site: "shop", EventID: []byte("0123456789abcdef"),
		CookieAllowed: true, UserKeyAllowed: true, Prefix: "81.2.69.0", UserAgent: "Mozilla/5.0",
	}
	if change != nil {
		change(&r)
	}
	return r
}

func TestWhichIDCounts(t *testing.T) {
	const uuidText, uuidHex = "9F1C3B52-4a0e-4c0f-9c55-0a5d2a0b7e11", "9f1c3b524a0e4c0f9c550a5d2a0b7e11"
	cookie := base64.RawURLEncoding.EncodeToString([]byte("cookiecookie1234"))
	cookieID := hex.EncodeToString(maker.Identify(request(func(r *identity.Request) { r.Cookies = []string{cookie} })).Visitor.VisitorId)
	for _, test := range []struct {
		name    string
		change  func(*identity.Request)
		kind    onepxv1.VisitorKind
		id      string // hex, "" = any
		set     bool
		invalid bool
	}{
		{"a new visitor gets an id", nil, mintedKind, "", true, false},
		{"the cookie is the visitor", func(r *identity.Request) { r.Cookies = []string{cookie} }, cookieKind, cookieID, false, false},
		{"the cookie may hold a UUID", func(r *identity.Request) { r.Cookies = []string{uuidText} }, cookieKind, "", false, false},
		{"the site's id goes before the cookie", func(r *identity.Request) { r.Cookies, r.VisitorID = []string{cookie}, uuidText }, providedKind, uuidHex, false, false},
		{"the site's id may be any text", func(r *identity.Request) { r.VisitorID = "ann" }, providedKind, "", false, false},
		{"a long one is none, the cookie is next", func(r *identity.Request) { r.Cookies, r.VisitorID = []string{cookie}, strings.Repeat("a", 129) }, cookieKind, cookieID, false, true},
		{"an unreadable cookie is replaced", func(r *identity.Request) { r.Cookies = []string{"garbage"} }, mintedKind, "", true, true},
		{"a short cookie is replaced", func(r *identity.Request) { r.Cookies = []string{"AAAA"} }, mintedKind, "", true, true},
		{"a cookie with stray bits is replaced", func(r *identity.Request) { r.Cookies = []string{strings.Repeat("A", 21) + "B"} }, mintedKind, "", true, true},
		{"where no cookie can be set none is made", func(r *identity.Request) { r.NoCookie = true }, hashKind, "", false, false},
		{"but the site's id counts", func(r *identity.Request) { r.NoCookie, r.VisitorID = true, uuidText }, providedKind, uuidHex, false, false},
		{"an id that was just made is not made again", func(r *identity.Request) { r.Minted = cookie }, mintedKind, cookieID, false, false},
		{"of several cookies the first readable one counts", func(r *identity.Request) { r.Cookies = []string{"", "garbage", cookie} }, cookieKind, cookieID, false, true},
		{"without leave no id is read or made", func(r *identity.Request) { r.CookieAllowed, r.Cookies, r.VisitorID = false, []string{cookie}, uuidText }, hashKind, "", false, false},
		{"without leave and address there is nobody", func(r *identity.Request) { r.CookieAllowed, r.Prefix = false, "" }, noKind, "", false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := maker.Identify(request(test.change))
			require.Equal(t, test.kind, got.Visitor.Kind)
			require.Equal(t, test.set, got.SetCookie != "")
			require.Equal(t, test.invalid, got.Invalid)
			if test.id != "" {
				require.Equal(t, test.id, hex.EncodeToString(got.Visitor.VisitorId))
			}
			if test.kind == hashKind || test.kind == noKind {
				require.Empty(t, got.Visitor.VisitorId)
			} else {
				require.Len(t, got.Visitor.VisitorId, identity.IDSize)
			}
		})
	}
}

func TestAMintedIDComesBackAsCookie(t *testing.T) {
	minted := maker.Identify(request(nil))
	again := maker.Identify(request(nil))
	require.Equal(t, minted.Visitor.VisitorId, again.Visitor.VisitorId, "a repeat of the event mints the same")
	other := maker.Identify(request(func(r *identity.Request) { r.EventID = []byte("another") }))
	require.NotEqual(t, minted.Visitor.VisitorId, other.Visitor.VisitorId)
	for name, change := range map[string]func(*identity.Request){
		"address":    func(r *identity.Request) { r.Prefix = "81.2.70.0" },
		"user agent": func(r *identity.Request) { r.UserAgent = "curl" },
	} {
		stranger := maker.Identify(request(change))
		require.NotEqual(t, minted.SetCookie, stranger.SetCookie, "the same event id from another %s is another visitor", name)
	}
	next := maker.Identify(request(func(r *identity.Request) { r.Cookies = []string{minted.SetCookie} }))
	require.Equal(t, cookieKind, next.Visitor.Kind)
	require.Equal(t, minted.Visitor.VisitorId, next.Visitor.VisitorId)
}

func TestSitesThatShareACookieCannotBeJoined(t *testing.T) {
	minted := maker.Identify(request(nil))
	elsewhere := maker.Identify(request(func(r *identity.Request) { r.Site, r.Cookies = "blog", []string{minted.SetCookie} }))
	require.Equal(t, cookieKind, elsewhere.Visitor.Kind)
	require.NotEqual(t, minted.Visitor.VisitorId, elsewhere.Visitor.VisitorId)
}

func TestUserKeys(t *testing.T) {
	key := func(site, user string) []byte {
		return maker.Identify(request(func(r *identity.Request) { r.Site, r.UserID = site, user })).Visitor.UserKey
	}
	require.Len(t, key("shop", "Ann@Example.com"), identity.IDSize)
	require.Equal(t, key("shop", " ann@example.COM "), key("shop", "Ann@Example.com"), "case and spaces around don't matter")
	require.NotEqual(t, key("shop", "ann@example.com"), key("blog", "ann@example.com"), "sites can't be joined by it")
	require.Empty(t, key("shop", "  "))
	require.Empty(t, maker.Identify(request(func(r *identity.Request) { r.UserID, r.UserKeyAllowed = "ann", false })).Visitor.UserKey)
}

func TestDailyHash(t *testing.T) {
	hash := func(change func(*identity.Request)) string {
		return hex.EncodeToString(maker.Identify(request(change)).Visitor.DailyHash)
	}
	today := hash(nil)
	require.Len(t, today, 2*identity.IDSize)
	require.Equal(t, today, hash(func(r *identity.Request) { r.At = r.At.Add(-23 * time.Hour) }), "the same all day")
	require.Equal(t, today, hash(func(r *identity.Request) { r.At = r.At.In(time.FixedZone("", 7200)) }), "the day is UTC's")
	require.Equal(t, today, hash(func(r *identity.Request) { r.VisitorID = "ann" }), "it does not depend on ids")
	for name, change := range map[string]func(*identity.Request){
		"day":        func(r *identity.Request) { r.At = r.At.Add(time.Second) },
		"site":       func(r *identity.Request) { r.Site = "blog" },
		"address":    func(r *identity.Request) { r.Prefix = "81.2.70.0" },
		"user agent": func(r *identity.Request) { r.UserAgent = "curl" },
		"where one part ends and the next begins": func(r *identity.Request) { r.Site, r.Prefix = "shop8", "1.2.69.0" },
	} {
		require.NotEqual(t, today, hash(change), name)
	}
	require.Empty(t, hash(func(r *identity.Request) { r.Prefix = "" }))
}

func TestSecretsDiffer(t *testing.T) {
	other := identity.New("fedcba9876543210fedcba9876543210").Identify(request(func(r *identity.Request) { r.UserID = "ann" })).Visitor
	ours := maker.Identify(request(func(r *identity.Request) { r.UserID = "ann" })).Visitor
	require.NotEqual(t, ours.VisitorId, other.VisitorId)
	require.NotEqual(t, ours.UserKey, other.UserKey)
	require.NotEqual(t, ours.DailyHash, other.DailyHash)
}
