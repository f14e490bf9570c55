package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/mailtoken"
	"github.com/onepx/onepx/services/shared/settings"
	"github.com/onepx/onepx/services/shared/userkey"
)

// mailConsole runs a command with keys.
func mailConsole(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = execute(context.Background(), append([]string{"mail"}, args...), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func withMailKeys(t *testing.T) *mailtoken.Ring {
	t.Helper()
	code, keys, errOut := mailConsole(t, "keys", "new")
	require.Zero(t, code, errOut)
	keys = strings.TrimSpace(keys)
	t.Setenv("ONEPX_MAIL_KEYS", keys)
	t.Setenv("ONEPX_MAIL_URL", "https://px.shop.example")
	t.Setenv("ONEPX_SECRET", testSecret)
	ring, err := mailtoken.ParseRing(keys)
	require.NoError(t, err)
	return ring
}

func TestTokensArePrintedAndRead(t *testing.T) {
	withMailKeys(t)
	for kind, more := range map[string][]string{
		"open": nil, "unsubscribe": {"--mode=none"}, "click": {"--target=https://shop.example/?a=1&b=<2>", "--link=hero", "--test", "--sent=2026-11-26T12:00:00Z"},
	} {
		code, u, errOut := mailConsole(t, append([]string{"token", kind, "--site=shop", "--to=Anna <Anna@example.com>", "--message=m-1"}, more...)...)
		require.Zero(t, code, errOut)
		code, out, errOut := mailConsole(t, "read", strings.TrimSpace(u))
		require.Zero(t, code, errOut)
		var got said
		require.NoError(t, json.Unmarshal([]byte(out), &got))
		require.Equal(t, []string{kind, "shop", "m-1", "6aafad4d-f46a-ab94-eb95-05b35448c9fb"}, []string{got.Kind, got.Site, got.Message, got.Recipient})
		if kind == "click" {
			require.Contains(t, out, `"target": "https://shop.example/?a=1&b=<2>"`)
			require.Equal(t, "hero true 2026-11-26T12:00:00Z", strings.Join([]string{got.Link, map[bool]string{true: "true"}[got.Test], got.Sent.Format(time.RFC3339)}, " "))
		}
	}
	code, u, _ := mailConsole(t, "token", "open", "--site=shop", "--to=anna@example.com", "--message=m-1", "--mode=aggregate")
	require.Zero(t, code)
	_, out, _ := mailConsole(t, "read", strings.TrimSpace(u))
	require.NotContains(t, out, "recipient")
	require.NotContains(t, out, "m-1")

	for name, test := range map[string][2]string{
		"another host's page": {"https://shop.example/x", "its path begins with /o/, /c/ or /u/"},
		"a forged token":      {strings.Replace(strings.TrimSpace(u), ".gif", "A.gif", 1), "not a token"},
		"no target":           {"https://px.shop.example/c/abc/=", "not a target"},
	} {
		code, _, errOut := mailConsole(t, "read", test[0])
		require.Equal(t, 1, code, name)
		require.Contains(t, errOut, test[1], name)
	}
}

func TestKeysAreRotated(t *testing.T) {
	withMailKeys(t)
	_, u, _ := mailConsole(t, "token", "unsubscribe", "--site=shop", "--to=anna@example.com")
	code, keys, errOut := mailConsole(t, "keys", "rotate", "--months=1")
	require.Zero(t, code, errOut)
	t.Setenv("ONEPX_MAIL_KEYS", strings.TrimSpace(keys))
	code, _, errOut = mailConsole(t, "read", strings.TrimSpace(u))
	require.Zero(t, code, errOut)
	require.Contains(t, keys, time.Now().UTC().AddDate(0, 1, 0).Format(":2006-01-02"))
	code, _, errOut = mailConsole(t, "keys", "rotate", "--months=0")
	require.Equal(t, 2, code)
	require.Contains(t, errOut, "must be 1 to 120")
	t.Setenv("ONEPX_MAIL_KEYS", "k1:secret")
	code, _, errOut = mailConsole(t, "keys", "rotate")
	require.Equal(t, 1, code)
	require.NotContains(t, errOut, "secret\n")
}

const testMessage = "Subject: Hi {{name}}\r\n\r\nHello {{name}}: https://shop.example/?id={{name}}\r\n"

func TestAMessageIsRewrittenFromInputToOutput(t *testing.T) {
	ring := withMailKeys(t)
	command := mailRewriteCmd{UTM: map[string]string{"source": "news"}}
	command.Site, command.To, command.Mode, command.Secret = "shop", "anna@example.com", "full", testSecret
	command.MailKeys, command.MailURL = settings.Secret(os.Getenv("ONEPX_MAIL_KEYS")), "https://px.shop.example"
	var out strings.Builder
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	require.NoError(t, command.rewrite(strings.NewReader("Subject: x\r\n\r\nhttps://shop.example/\r\n"), &out, now))
	_, after, found := strings.Cut(out.String(), "https://px.shop.example/c/")
	require.True(t, found)
	token, encoded, _ := strings.Cut(strings.TrimSpace(after), "/")
	target, err := mailtoken.DecodeTarget(encoded)
	require.NoError(t, err)
	require.Equal(t, "https://shop.example/?utm_source=news", target)
	got, err := ring.Verify(mailtoken.Click, token, target, now)
	require.NoError(t, err)
	require.Equal(t, now, got.Sent)
	require.Equal(t, [16]byte(userkey.New(testSecret).Recipient("shop", "anna@example.com")), got.Recipient)

	command.HTML, command.Mode = true, "none"
	out.Reset()
	require.NoError(t, command.rewrite(strings.NewReader("<a href=https://shop.example/>"), &out, now))
	require.Equal(t, "<a href=https://shop.example/>", out.String())
}

func TestABatchWritesALineForEachRecipient(t *testing.T) {
	withMailKeys(t)
	template := filepath.Join(t.TempDir(), "message.eml")
	require.NoError(t, os.WriteFile(template, []byte(testMessage), 0o600))
	command := mailRewriteCmd{Template: template}
	command.Site, command.Mode, command.Secret, command.MailURL = "shop", "full", testSecret, "https://px.shop.example"
	command.MailKeys = settings.Secret(os.Getenv("ONEPX_MAIL_KEYS"))
	var out strings.Builder
	err := command.rewrite(strings.NewReader(`{"to":"anna@example.com","message":"m-1","data":{"name":"Anna"}}
{"to":"ben@example.com","mode":"none","data":{"name":"Ben"}}
{"to":"cleo@example.com","data":{}}
nonsense
{"to":"anna@example.com","modus":"none","data":{"name":"Anna"}}
{"to":"anna@example.com","data":{"name":"Anna"}} {"mode":"none"}
null
{"to":"anna@example.com","data":{"name":"Anna"}}]`), &out, time.Now())
	require.EqualError(t, err, "6 of 8 recipients got no message; their lines say why")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 8)
	require.Contains(t, lines[0], `{"line":1,"message":"m-1","text":"Subject: Hi Anna\r\nList-Unsubscribe: <https://px.shop.example/u/`)
	require.Contains(t, lines[0], `Hello Anna: https://px.shop.example/c/`)
	require.Contains(t, lines[1], `Hello Ben: https://shop.example/?id=Ben\r\n`)
	require.Equal(t, `{"line":3,"error":"merge field name: the recipient has no value for it"}`, lines[2])
	for i, line := range lines[3:] {
		require.Equal(t, fmt.Sprintf(`{"line":%d,"error":"not a JSON object of a recipient, with to or recipient, message, mode, test and data"}`, i+4), line)
	}
	require.NotContains(t, out.String(), "example.com\"")
}

func TestWhatMailCommandsNeed(t *testing.T) {
	t.Setenv("ONEPX_MAIL_URL", "")
	for args, problem := range map[string]string{
		"rewrite --site=shop":                                                            "ONEPX_MAIL_KEYS is not set; console mail keys new makes one",
		"rewrite --site=shop --mail-keys=k1:x":                                           "the secret of k1 must be base64",
		"rewrite --site=shop --mail-keys=k1:" + longKey:                                  "ONEPX_MAIL_URL",
		"rewrite --site=shop --secret=short --mail-keys=k1:" + longKey:                   "ONEPX_SECRET has 5 bytes",
		"rewrite --mail-url=https://a.example --mail-keys=k1:" + longKey:                 "--site",
		"token hover --site=shop --mail-url=https://a.example --mail-keys=k1:" + longKey: "must be one of",
	} {
		code, _, errOut := mailConsole(t, strings.Fields(args)...)
		require.Equal(t, 2, code, args)
		require.Contains(t, errOut, problem, args)
	}
	code, _, errOut := mailConsole(t, "token", "open", "--site=shop", "--to=a@b.example", "--mail-url=https://a.example", "--mail-keys=k1:"+longKey)
	require.Equal(t, 1, code)
	require.Contains(t, errOut, "addresses need ONEPX_SECRET")
}

const longKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
