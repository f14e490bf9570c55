package main

import (
	"bytes"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/identity"
)

func TestLinksForMailings(t *testing.T) {
	_, line, _, err := parse(t, []string{"optout-link", "--url=https://px.shop.example/", "--site=shop", "Anna@example.com", "Ben <ben@example.com>"}, "ONEPX_SECRET", testSecret)
	require.NoError(t, err)
	now, maker := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), identity.New(testSecret)
	for as, want := range map[string]struct {
		kind identity.LinkKind
		key  func(site, name string) []byte
	}{"user": {identity.LinkUser, maker.UserKey}, "recipient": {identity.LinkRecipient, maker.RecipientKey}} {
		var out bytes.Buffer
		line.OptoutLink.As = as
		require.NoError(t, line.OptoutLink.write(nil, &out, now))
		links := strings.Fields(out.String())
		require.Len(t, links, 2)
		for i, name := range []string{"anna@example.com", "Ben <ben@example.com>"} {
			u, err := url.Parse(links[i])
			require.NoError(t, err)
			require.Equal(t, "https://px.shop.example/optout", u.Scheme+"://"+u.Host+u.Path)
			require.NotContains(t, links[i], strings.Split(name, "@")[0])
			link, err := maker.ReadLink(u.Query().Get("site"), u.Query().Get("link"), now.AddDate(0, 0, 399))
			require.NoError(t, err)
			require.Equal(t, want.kind, link.Kind)
			require.Equal(t, want.key("shop", name), link.Key)
			require.True(t, now.AddDate(0, 0, 400).Equal(link.Expires))
		}
	}
}

func TestNamesComeFromAFileToo(t *testing.T) {
	_, line, _, err := parse(t, []string{"optout-link", "--url=http://localhost:8080", "--site=shop"}, "ONEPX_SECRET", testSecret)
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, line.OptoutLink.write(strings.NewReader("a\r\nb\nc"), &out, time.Now()))
	require.Equal(t, 3, strings.Count(out.String(), "\n"))
	require.ErrorContains(t, line.OptoutLink.write(strings.NewReader("a\n\nc"), &out, time.Now()), "name 2 is blank")
	line.OptoutLink.As = "recipient"
	require.ErrorContains(t, line.OptoutLink.write(strings.NewReader("a@b.example\ncustomer-77"), &out, time.Now()), "name 2 is no e-mail address")
}

func TestALinkNeedsAHostAndASecret(t *testing.T) {
	for args, problem := range map[string]string{
		"--url=px.shop.example":           "write scheme and host",
		"--url=https://px.shop.example/x": "write scheme and host",
		"--url=javascript:alert(1)":       "write scheme and host",
		"--url=https://a.b --valid=-1h":   "must be more than 0",
		"--url=https://a.b --as=visitor":  "must be one of",
		"--url=https://a.b --secret=abc":  "ONEPX_SECRET has 3 bytes",
	} {
		_, _, _, err := parse(t, append([]string{"optout-link", "--site=shop", "a"}, strings.Fields(args)...), "ONEPX_SECRET", testSecret)
		require.ErrorContains(t, err, problem, args)
	}
}
