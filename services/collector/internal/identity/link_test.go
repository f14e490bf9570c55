package identity_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/identity"
)

var (
	noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	anna = identity.Link{Kind: identity.LinkRecipient, Key: maker.RecipientKey("shop", "anna@example.com"), Expires: noon.Add(time.Hour)}
)

func TestALinkNamesWhomItWasMadeFor(t *testing.T) {
	for _, link := range []identity.Link{anna, {Kind: identity.LinkUser, Key: maker.UserKey("shop", "customer-77"), Expires: noon.AddDate(10, 0, 0)}} {
		token := maker.SignLink("shop", link)
		require.Regexp(t, `^[A-Za-z0-9_-]{56}$`, token)
		got, err := maker.ReadLink("shop", token, noon)
		require.NoError(t, err)
		require.Equal(t, link.Kind, got.Kind)
		require.Equal(t, link.Key, got.Key)
		require.True(t, link.Expires.Equal(got.Expires))
	}
}

func TestALinkThatIsNotOursIsInvalid(t *testing.T) {
	token := maker.SignLink("shop", anna)
	kindless := anna
	kindless.Kind = 3
	for name, read := range map[string]func() (identity.Link, error){
		"nothing":                   func() (identity.Link, error) { return maker.ReadLink("shop", "", noon) },
		"another site":              func() (identity.Link, error) { return maker.ReadLink("blog", token, noon) },
		"no site":                   func() (identity.Link, error) { return maker.ReadLink("", token, noon) },
		"another secret":            func() (identity.Link, error) { return identity.New("another").ReadLink("shop", token, noon) },
		"cut off":                   func() (identity.Link, error) { return maker.ReadLink("shop", token[:55], noon) },
		"longer":                    func() (identity.Link, error) { return maker.ReadLink("shop", token+"A", noon) },
		"huge":                      func() (identity.Link, error) { return maker.ReadLink("shop", strings.Repeat("A", 30_000), noon) },
		"line breaks":               func() (identity.Link, error) { return maker.ReadLink("shop", strings.Repeat("A\n", 28), noon) },
		"other characters":          func() (identity.Link, error) { return maker.ReadLink("shop", strings.Repeat("é", 28), noon) },
		"a kind nobody knows, ours": func() (identity.Link, error) { return maker.ReadLink("shop", maker.SignLink("shop", kindless), noon) },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read()
			require.ErrorIs(t, err, identity.ErrLinkInvalid)
		})
	}
}

func TestNoBitOfALinkCanBeChanged(t *testing.T) {
	data, err := base64.RawURLEncoding.DecodeString(maker.SignLink("shop", anna))
	require.NoError(t, err)
	for bit := range len(data) * 8 {
		data[bit/8] ^= 1 << (bit % 8)
		_, err := maker.ReadLink("shop", base64.RawURLEncoding.EncodeToString(data), noon)
		require.ErrorIs(t, err, identity.ErrLinkInvalid, "bit %d", bit)
		data[bit/8] ^= 1 << (bit % 8)
	}
}

func TestALinkExpires(t *testing.T) {
	token := maker.SignLink("shop", anna)
	_, err := maker.ReadLink("shop", token, anna.Expires.Add(-time.Second))
	require.NoError(t, err)
	_, err = maker.ReadLink("shop", token, anna.Expires)
	require.ErrorIs(t, err, identity.ErrLinkExpired)
}

func TestKeysOfPeopleAreOfOnePurposeAndOneSite(t *testing.T) {
	require.Equal(t, maker.UserKey("shop", "Anna@Example.com "), maker.UserKey("shop", "anna@example.com"))
	require.Equal(t, maker.Identify(request(func(r *identity.Request) { r.UserID = "anna" })).Visitor.UserKey, maker.UserKey("shop", "anna"))
	require.NotEqual(t, maker.UserKey("shop", "anna"), maker.UserKey("blog", "anna"))
	require.NotEqual(t, maker.UserKey("shop", "anna@example.com"), maker.RecipientKey("shop", "anna@example.com"))
	require.Nil(t, maker.UserKey("shop", " "))
	require.Nil(t, maker.RecipientKey("shop", ""))
}

func TestTheVisitorOfACookie(t *testing.T) {
	const cookie = "AAECAwQFBgcICQoLDA0ODw"
	id, ok := maker.CookieVisitor("shop", cookie)
	require.True(t, ok)
	require.Equal(t, maker.Identify(request(func(r *identity.Request) { r.Cookies = []string{cookie} })).Visitor.VisitorId, id)
	_, ok = maker.CookieVisitor("shop", "garbage")
	require.False(t, ok)
}

func FuzzReadLink(f *testing.F) {
	f.Add("shop", maker.SignLink("shop", anna))
	f.Add("blog", maker.SignLink("shop", anna))
	f.Add("", "")
	f.Fuzz(func(t *testing.T, site, token string) {
		link, err := maker.ReadLink(site, token, noon)
		if err == nil {
			require.Equal(t, token, maker.SignLink(site, link), "only what we have signed is read")
		}
	})
}
