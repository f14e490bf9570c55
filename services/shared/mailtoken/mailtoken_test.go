package mailtoken_test

import (
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/mailtoken"
)

var (
	secretA = base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	secretB = base64.StdEncoding.EncodeToString([]byte("fedcba9876543210fedcba9876543210"))
	noon    = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	anna    = [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
)

const target = "https://shop.example/shoes?utm_source=mail&q=%C3%A9#top"

func ring(t testing.TB, setting string) *mailtoken.Ring {
	t.Helper()
	r, err := mailtoken.ParseRing(setting)
	require.NoError(t, err)
	return r
}

// click is a token of a click; changed by the functions.
func click(changes ...func(*mailtoken.Token)) mailtoken.Token {
	t := mailtoken.Token{Kind: mailtoken.Click, Site: "shop", Campaign: "autumn-26", Message: "0190b5ad-3c2e-7b1f", Recipient: anna, Link: "3-1f9a", Sent: noon}
	for _, change := range changes {
		change(&t)
	}
	return t
}

func targetOf(kind mailtoken.Kind) string {
	if kind == mailtoken.Click {
		return target
	}
	return ""
}

func sign(t testing.TB, r *mailtoken.Ring, token mailtoken.Token) string {
	t.Helper()
	text, err := r.Sign(token, targetOf(token.Kind))
	require.NoError(t, err)
	return text
}

func TestATokenSaysWhatWasSigned(t *testing.T) {
	r := ring(t, "k1:"+secretA)
	for name, token := range map[string]mailtoken.Token{
		"a click":                  click(),
		"a click without ids":      click(func(t *mailtoken.Token) { t.Campaign, t.Message, t.Link = "", "", "" }),
		"a click of a test":        click(func(t *mailtoken.Token) { t.Test = true }),
		"a click, no recipient":    click(func(t *mailtoken.Token) { t.Mode, t.Message, t.Recipient = mailtoken.Aggregate, "", [16]byte{} }),
		"texts beyond ASCII":       click(func(t *mailtoken.Token) { t.Campaign, t.Link = "Frühling 🌷", "日本" }),
		"an open":                  click(func(t *mailtoken.Token) { t.Kind, t.Link = mailtoken.Open, "" }),
		"an open long ago":         click(func(t *mailtoken.Token) { t.Kind, t.Link, t.Sent = mailtoken.Open, "", time.Unix(0, 0).UTC() }),
		"an open in 30000 years":   click(func(t *mailtoken.Token) { t.Kind, t.Link, t.Sent = mailtoken.Open, "", time.Unix(1<<40-1, 0).UTC() }),
		"unsubscribe":              click(func(t *mailtoken.Token) { t.Kind, t.Link = mailtoken.Unsubscribe, "" }),
		"unsubscribe in mode none": click(func(t *mailtoken.Token) { t.Kind, t.Link, t.Mode = mailtoken.Unsubscribe, "", mailtoken.None }),
		"unsubscribe in mode aggregate": click(func(t *mailtoken.Token) {
			t.Kind, t.Link, t.Mode, t.Sent = mailtoken.Unsubscribe, "", mailtoken.Aggregate, noon.Add(time.Minute)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			text := sign(t, r, token)
			require.Regexp(t, `^[A-Za-z0-9_-]{1,200}$`, text)
			got, err := r.Verify(token.Kind, text, targetOf(token.Kind), noon)
			require.NoError(t, err)
			require.Equal(t, token, got)
		})
	}
}

func TestATokenOfNobodyKnowsTheHourOnly(t *testing.T) {
	r := ring(t, "k1:"+secretA)
	token := mailtoken.Token{Kind: mailtoken.Open, Mode: mailtoken.Aggregate, Site: "shop", Campaign: "c", Sent: noon.Add(59*time.Minute + 59*time.Second)}
	text := sign(t, r, token)
	got, err := r.Verify(mailtoken.Open, text, "", noon)
	require.NoError(t, err)
	require.Equal(t, noon, got.Sent)
	token.Sent = noon
	require.Equal(t, text, sign(t, r, token), "all recipients of an hour have the same token")
}

func TestWhatATokenCannotSay(t *testing.T) {
	r := ring(t, "k1:"+secretA)
	for name, token := range map[string]mailtoken.Token{
		"no kind":                           click(func(t *mailtoken.Token) { t.Kind = 0 }),
		"a kind nobody knows":               click(func(t *mailtoken.Token) { t.Kind = 4 }),
		"a mode nobody knows":               click(func(t *mailtoken.Token) { t.Mode = 3 }),
		"no site":                           click(func(t *mailtoken.Token) { t.Site = "" }),
		"a click in mode none":              click(func(t *mailtoken.Token) { t.Mode, t.Recipient, t.Message = mailtoken.None, [16]byte{}, "" }),
		"mode full without recipient":       click(func(t *mailtoken.Token) { t.Recipient = [16]byte{} }),
		"mode aggregate with recipient":     click(func(t *mailtoken.Token) { t.Mode, t.Message = mailtoken.Aggregate, "" }),
		"mode aggregate with message":       click(func(t *mailtoken.Token) { t.Mode, t.Recipient = mailtoken.Aggregate, [16]byte{} }),
		"an open with a link":               click(func(t *mailtoken.Token) { t.Kind = mailtoken.Open }),
		"nobody unsubscribes":               click(func(t *mailtoken.Token) { t.Kind, t.Link, t.Recipient = mailtoken.Unsubscribe, "", [16]byte{} }),
		"sent before 1970":                  click(func(t *mailtoken.Token) { t.Sent = time.Unix(-1, 0) }),
		"never sent":                        click(func(t *mailtoken.Token) { t.Sent = time.Time{} }),
		"sent too late":                     click(func(t *mailtoken.Token) { t.Sent = time.Unix(1<<40, 0) }),
		"a line break":                      click(func(t *mailtoken.Token) { t.Campaign = "a\r\nSet-Cookie: b" }),
		"bytes that are no UTF-8":           click(func(t *mailtoken.Token) { t.Message = "\xff" }),
		"a zero byte in the id of the link": click(func(t *mailtoken.Token) { t.Link = "\x00" }),
	} {
		_, err := r.Sign(token, targetOf(token.Kind))
		require.ErrorIs(t, err, mailtoken.ErrContradiction, name)
	}
}

func TestATokenHas200CharactersAtMost(t *testing.T) {
	r := ring(t, "k1:"+secretA)
	longest := 0
	for n := range 128 {
		text, err := r.Sign(click(func(t *mailtoken.Token) { t.Campaign = strings.Repeat("c", n) }), target)
		if err != nil {
			require.ErrorIs(t, err, mailtoken.ErrTooLong)
			continue
		}
		longest = max(longest, len(text))
	}
	require.Equal(t, mailtoken.MaxLength, longest)
	_, err := r.Sign(click(func(t *mailtoken.Token) { t.Message = strings.Repeat("m", 300) }), target)
	require.ErrorContains(t, err, "bytes more than fit")
}

func TestNoOtherTokenIsAccepted(t *testing.T) {
	ours, theirs := ring(t, "k1:"+secretA+",k2:"+secretB), ring(t, "k1:"+secretB)
	token := sign(t, ours, click())
	data, err := base64.RawURLEncoding.DecodeString(token)
	require.NoError(t, err)
	replaced := func(old, changed string) string {
		require.Contains(t, string(data), old)
		return base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(data), old, changed, 1)))
	}
	for name, test := range map[string]struct {
		token, target string
		want          error
	}{
		"nothing":                          {"", target, mailtoken.ErrMalformed},
		"the key of somebody else":         {sign(t, theirs, click()), target, mailtoken.ErrForged},
		"another of our keys is named":     {replaced("\x02k1", "\x02k2"), target, mailtoken.ErrForged},
		"a key nobody knows":               {replaced("\x02k1", "\x02k3"), target, mailtoken.ErrKeyUnknown},
		"another site":                     {replaced("\x04shop", "\x04blog"), target, mailtoken.ErrForged},
		"another campaign":                 {replaced("autumn-26", "autumn-27"), target, mailtoken.ErrForged},
		"texts swapped":                    {replaced("\x04shop\x09autumn-26", "\x09autumn-26\x04shop"), target, mailtoken.ErrForged},
		"the border between texts moved":   {replaced("\x04shop\x09autumn-26", "\x05shop\x09\x08utumn-26"), target, mailtoken.ErrMalformed},
		"the border moved, readable":       {replaced("\x04shop\x09autumn-26", "\x03sho\x0apautumn-26"), target, mailtoken.ErrForged},
		"another recipient":                {replaced(string(anna[:]), strings.Repeat("x", 16)), target, mailtoken.ErrForged},
		"no recipient, as zeros":           {replaced(string(anna[:]), strings.Repeat("\x00", 16)), target, mailtoken.ErrMalformed},
		"another kind, with the link":      {replaced("\x01\x02\x08", "\x01\x01\x08"), "", mailtoken.ErrMalformed},
		"a test made real":                 {replaced("\x01\x02\x08", "\x01\x02\x0c"), target, mailtoken.ErrForged},
		"another version":                  {replaced("\x01\x02\x08", "\x02\x02\x08"), target, mailtoken.ErrMalformed},
		"a flag nobody knows":              {replaced("\x01\x02\x08", "\x01\x02\x18"), target, mailtoken.ErrMalformed},
		"another target":                   {token, target + "x", mailtoken.ErrForged},
		"no target":                        {token, "", mailtoken.ErrForged},
		"the target in other letters":      {token, strings.ToUpper(target), mailtoken.ErrForged},
		"padding":                          {token + "=", target, mailtoken.ErrMalformed},
		"a line break":                     {token + "\n", target, mailtoken.ErrMalformed},
		"a line break within":              {token[:4] + "\r\n" + token[4:], target, mailtoken.ErrMalformed},
		"a space before":                   {" " + token, target, mailtoken.ErrMalformed},
		"base64 of the other alphabet":     {strings.Repeat("+/", 30), target, mailtoken.ErrMalformed},
		"one character more":               {token + "A", target, mailtoken.ErrMalformed},
		"huge":                             {strings.Repeat("A", 1<<20), target, mailtoken.ErrMalformed},
		"a huge target":                    {token, target + strings.Repeat("a", 1<<20), mailtoken.ErrTarget},
		"bytes after the texts":            {base64.RawURLEncoding.EncodeToString(append(data[:len(data)-16:len(data)-16], append([]byte{0}, data[len(data)-16:]...)...)), target, mailtoken.ErrMalformed},
		"the target's start in the token":  {base64.RawURLEncoding.EncodeToString(append(append(data[:len(data)-16:len(data)-16], 'h'), data[len(data)-16:]...)), target[1:], mailtoken.ErrMalformed},
		"the token's end in the target":    {base64.RawURLEncoding.EncodeToString(append(data[:len(data)-17:len(data)-17], data[len(data)-16:]...)), "a" + target, mailtoken.ErrMalformed},
		"the MAC of the payload cut short": {base64.RawURLEncoding.EncodeToString(data[:len(data)-1]), target, mailtoken.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ours.Verify(mailtoken.Click, test.token, test.target, noon)
			require.ErrorIs(t, err, test.want)
		})
	}
}

func TestATokenOfOneKindIsNoneOfAnother(t *testing.T) {
	r := ring(t, "k1:"+secretA)
	kinds := []mailtoken.Kind{mailtoken.Open, mailtoken.Click, mailtoken.Unsubscribe}
	for _, kind := range kinds {
		token := click(func(t *mailtoken.Token) { t.Kind, t.Link = kind, "" })
		text := sign(t, r, token)
		for _, as := range kinds {
			if as == kind {
				continue
			}
			_, err := r.Verify(as, text, targetOf(kind), noon)
			require.ErrorIs(t, err, mailtoken.ErrKind)
			_, err = r.Verify(as, text, targetOf(as), noon)
			require.Error(t, err)
		}
	}
	_, err := r.Sign(click(func(t *mailtoken.Token) { t.Kind, t.Link = mailtoken.Open, "" }), target)
	require.ErrorIs(t, err, mailtoken.ErrTarget, "only clicks have a target")
}

func TestNoTokenCanBeCutOff(t *testing.T) {
	r := ring(t, "k1:"+secretA)
	text := sign(t, r, click())
	for n := range len(text) {
		_, err := r.Verify(mailtoken.Click, text[:n], target, noon)
		require.Error(t, err)
		_, err = r.Verify(mailtoken.Click, text[n+1:], target, noon)
		require.Error(t, err)
	}
}

func TestNoBitOfATokenOrTargetCanBeChanged(t *testing.T) {
	r := ring(t, "k1:"+secretA+",k2:"+secretB)
	text := sign(t, r, click())
	data, err := base64.RawURLEncoding.DecodeString(text)
	require.NoError(t, err)
	for bit := range len(data) * 8 {
		data[bit/8] ^= 1 << (bit % 8)
		changed := base64.RawURLEncoding.EncodeToString(data)
		data[bit/8] ^= 1 << (bit % 8)
		for _, kind := range []mailtoken.Kind{mailtoken.Open, mailtoken.Click, mailtoken.Unsubscribe} {
			_, err := r.Verify(kind, changed, targetOf(kind), noon)
			require.Error(t, err, "bit %d", bit)
		}
	}
	for _, of := range []*string{new(text), new(target)} {
		for bit := range len(*of) * 8 {
			other := []byte(*of)
			other[bit/8] ^= 1 << (bit % 8)
			pair := [2]string{text, target}
			for i := range pair {
				if pair[i] == *of {
					pair[i] = string(other)
				}
			}
			_, err := r.Verify(mailtoken.Click, pair[0], pair[1], noon)
			require.Error(t, err, "bit %d", bit)
		}
	}
}

func TestAMillionRandomTokens(t *testing.T) {
	r := ring(t, "k1:"+secretA)
	sizes, bytes := rand.New(rand.NewPCG(1, 2)), rand.NewChaCha8([32]byte{3})
	signed, err := base64.RawURLEncoding.DecodeString(sign(t, r, click()))
	require.NoError(t, err)
	data, text := make([]byte, 150), make([]byte, 0, mailtoken.MaxLength)
	for i := range 1_000_000 {
		from, size := 0, sizes.IntN(len(data)+1)
		if i%2 == 0 { // as one of ours, with another MAC
			from = copy(data, signed[:len(signed)-16])
			size = from + 16
		}
		_, _ = bytes.Read(data[from:size])
		text = base64.RawURLEncoding.AppendEncode(text[:0], data[:size])
		if _, err := r.Verify(mailtoken.Click, string(text), target, noon); err == nil {
			t.Fatalf("token %d was accepted", i)
		}
	}
}

func FuzzVerify(f *testing.F) {
	r := ring(f, "k1:"+secretA+",k2:"+secretB+":2026-12-01")
	for _, kind := range []mailtoken.Kind{mailtoken.Open, mailtoken.Click, mailtoken.Unsubscribe} {
		f.Add(byte(kind), sign(f, r, click(func(t *mailtoken.Token) { t.Kind, t.Link = kind, "" })), targetOf(kind))
	}
	f.Add(byte(2), "", "//evil.example")
	f.Fuzz(func(t *testing.T, kind byte, text, target string) {
		token, err := r.Verify(mailtoken.Kind(kind), text, target, noon)
		if err != nil {
			return
		}
		again, err := r.Sign(token, target)
		require.NoError(t, err)
		require.Equal(t, text, again, "only what we have signed is read")
	})
}

func BenchmarkVerify(b *testing.B) {
	r := ring(b, "k1:"+secretA)
	text := sign(b, r, click())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Verify(mailtoken.Click, text, target, noon); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	r, token := ring(b, "k1:"+secretA), click()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Sign(token, target); err != nil {
			b.Fatal(err)
		}
	}
}
