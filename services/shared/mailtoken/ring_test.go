package mailtoken_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/mailtoken"
)

func TestSettingsThatAreNoKeys(t *testing.T) {
	for setting, problem := range map[string]string{
		"":                                 "mail key 1: write ID:SECRET",
		"k1":                               "mail key 1: write ID:SECRET",
		"k1:" + secretA + ",":              "mail key 2: write ID:SECRET",
		"K1:" + secretA:                    "the id must be",
		":" + secretA:                      "the id must be",
		"ninechars:" + secretA:             "the id must be",
		"k1:c2hvcnQ":                       "the secret of k1 must be base64 of at least 32 bytes",
		"k1:" + secretA[:20] + "!":         "the secret of k1 must be base64",
		"k1:" + secretA + ":soon":          "mail key 1: the last day of k1 must be a date",
		"k1:" + secretA + ":2027-01-01":    "the first key signs, and can't have a date",
		"k1:" + secretA + ",k1:" + secretB: "mail key 2: there is a key k1 already",
		"k1:" + secretA + ",k2:" + secretB + ":2027-13-01": "mail key 2: the last day of k2",
	} {
		_, err := mailtoken.ParseRing(setting)
		require.ErrorContains(t, err, problem)
		require.NotContains(t, err.Error(), secretA[:20])
	}
}

func TestSecretsMayBeWrittenInEveryBase64(t *testing.T) {
	const standard, forURLs = "k1:+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/8=", "k1:-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_8"
	require.Equal(t, sign(t, ring(t, standard), click()), sign(t, ring(t, forURLs), click()))
}

func TestOldKeysVerifyUntilTheirDateOrUntilTheyAreRemoved(t *testing.T) {
	token := sign(t, ring(t, "k1:"+secretA), click())
	both := ring(t, "k2:"+secretB+", k1:"+secretA+":2027-12-26")
	for at, want := range map[string]error{
		"2026-11-26T12:00:00Z": nil, "2027-12-26T23:59:59Z": nil, "2027-12-27T00:00:00Z": mailtoken.ErrKeyExpired, "2030-01-01T00:00:00Z": mailtoken.ErrKeyExpired,
	} {
		now, err := time.Parse(time.RFC3339, at)
		require.NoError(t, err)
		_, err = both.Verify(mailtoken.Click, token, target, now)
		require.ErrorIs(t, err, want, at)
		_, err = both.Verify(mailtoken.Click, token, target+"x", now)
		require.ErrorIs(t, err, mailtoken.ErrForged, "who can't sign does not learn that a key has expired")
	}
	_, err := ring(t, "k2:"+secretB).Verify(mailtoken.Click, token, target, noon)
	require.ErrorIs(t, err, mailtoken.ErrKeyUnknown)
	require.NotEqual(t, token, sign(t, both, click()), "the first key signs")
}

func TestSubscriptionsEndByKeysThatHaveExpired(t *testing.T) {
	unsubscribe := click(func(t *mailtoken.Token) { t.Kind, t.Link = mailtoken.Unsubscribe, "" })
	token, err := ring(t, "k1:"+secretA).Sign(unsubscribe, "")
	require.NoError(t, err)
	old := ring(t, "k2:"+secretB+",k1:"+secretA+":2027-12-26")
	got, err := old.Verify(mailtoken.Unsubscribe, token, "", noon.AddDate(10, 0, 0))
	require.NoError(t, err)
	require.Equal(t, unsubscribe.Recipient, got.Recipient)
	_, err = old.Verify(mailtoken.Open, token, "", noon.AddDate(10, 0, 0))
	require.ErrorIs(t, err, mailtoken.ErrKeyExpired)
	_, err = ring(t, "k2:"+secretB).Verify(mailtoken.Unsubscribe, token, "", noon)
	require.ErrorIs(t, err, mailtoken.ErrKeyUnknown)
}

func TestRotation(t *testing.T) {
	first := mailtoken.NewKeys()
	require.NotEqual(t, first, mailtoken.NewKeys())
	token := sign(t, ring(t, first), click())

	second, err := mailtoken.Rotate(first, noon, 13)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(second, "k2:"))
	require.True(t, strings.HasSuffix(second, ","+first+":2027-12-26"), "verifies for 13 months more")
	third, err := mailtoken.Rotate(second, noon.AddDate(0, 6, 0), 13)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(third, "k3:"))
	require.Contains(t, third, ":2028-06-26,k1:")
	require.True(t, strings.HasSuffix(third, first+":2027-12-26"), "a date stays")
	_, err = ring(t, third).Verify(mailtoken.Click, token, target, noon.AddDate(0, 13, 0))
	require.NoError(t, err)

	fourth, err := mailtoken.Rotate(third, noon.AddDate(0, 14, 0), 13)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(fourth, first+":2027-12-26"), "it still ends subscriptions")
	require.Equal(t, 3, strings.Count(fourth, ","))

	_, err = mailtoken.Rotate("k1", noon, 13)
	require.Error(t, err)
	_, err = mailtoken.Rotate("k9999999:"+secretA, noon, 13)
	require.ErrorContains(t, err, "no id left")
}

func TestURLsOfAMail(t *testing.T) {
	r := ring(t, "k1:"+secretA)
	urls, err := mailtoken.NewURLs("https://px.shop.example/", r)
	require.NoError(t, err)
	require.Equal(t, "https://px.shop.example", urls.Base())
	base := click(func(t *mailtoken.Token) { t.Kind, t.Link = 0, "" })

	open, err := urls.Open(base)
	require.NoError(t, err)
	text, found := strings.CutPrefix(strings.TrimSuffix(open, ".gif"), "https://px.shop.example/o/")
	require.True(t, found)
	_, err = r.Verify(mailtoken.Open, text, "", noon)
	require.NoError(t, err)

	through, err := urls.Click(base, "3-1f9a", target)
	require.NoError(t, err)
	text, encoded, found := strings.Cut(strings.TrimPrefix(through, "https://px.shop.example/c/"), "/")
	require.True(t, found)
	to, err := mailtoken.DecodeTarget(encoded)
	require.NoError(t, err)
	require.Equal(t, target, to)
	got, err := r.Verify(mailtoken.Click, text, to, noon)
	require.NoError(t, err)
	require.Equal(t, click(), got)

	end, err := urls.Unsubscribe(base)
	require.NoError(t, err)
	_, err = r.Verify(mailtoken.Unsubscribe, strings.TrimPrefix(end, "https://px.shop.example/u/"), "", noon)
	require.NoError(t, err)

	_, err = urls.Click(base, "", "//evil.example")
	require.ErrorIs(t, err, mailtoken.ErrTarget)
	for _, wrong := range []string{"", "px.shop.example", "https://px.shop.example/x", "https://px.shop.example?", "https://px.shop.example#", "javascript:alert(1)", "https://a@b.example"} {
		_, err := mailtoken.NewURLs(wrong, r)
		require.ErrorContains(t, err, "write scheme and host", wrong)
	}
}
