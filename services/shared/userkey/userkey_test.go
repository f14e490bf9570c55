package userkey_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/userkey"
)

const secret = "0123456789abcdef0123456789abcdef"

func TestTheKeyOfAnAddressIsForEverTheSame(t *testing.T) {
	require.Equal(t, "363e3d44ca95a02eeea6d7d7d0df5953", hex.EncodeToString(userkey.New(secret).Of("shop", "anna@example.com")))
	require.Equal(t, "6aafad4df46aab94eb9505b35448c9fb", hex.EncodeToString(userkey.New(secret).Recipient("shop", "anna@example.com")))
}

func TestCaseAndSpacesAroundMakeNoOtherKey(t *testing.T) {
	maker := userkey.New(secret)
	require.Equal(t, maker.Of("shop", "anna@example.com"), maker.Of("shop", "  Anna@Example.COM\n"))
	require.Nil(t, maker.Of("shop", " \t"))
	require.Equal(t, maker.Recipient("shop", "anna@example.com"), maker.Recipient("shop", "  Anna@Example.COM\n"))
	require.Nil(t, maker.Recipient("shop", " \t"))
}

func TestNamesBesideAnAddressMakeNoOtherKey(t *testing.T) {
	maker := userkey.New(secret)
	for _, text := range []string{"Anna <anna@example.com>", "<Anna@example.com>", `"Müller, Anna" <anna@example.com>`, "=?utf-8?q?Anna?= <anna@example.com>", "anna@example.com (Anna)"} {
		require.Equal(t, maker.Recipient("shop", "anna@example.com"), maker.Recipient("shop", text), text)
	}
}

func TestDotsMayStandAnywhereInAnAddress(t *testing.T) {
	maker := userkey.New(secret)
	for _, text := range []string{"a..b@docomo.ne.jp", "ab.@docomo.ne.jp", ".ab@docomo.ne.jp"} {
		key := maker.Recipient("shop", text)
		require.NotNil(t, key, text)
		require.Equal(t, maker.Recipient("shop", strings.ToUpper(text)), key, text)
		for _, named := range []string{"Anna <" + text + ">", "<" + text + ">", text + " (Anna)", `"` + strings.Replace(text, "@", `"@`, 1), `Anna <"` + strings.Replace(text, "@", `"@`, 1) + ">", `"Müller, Anna" <` + text + ">"} {
			require.Equal(t, key, maker.Recipient("shop", named), named)
		}
		require.Nil(t, maker.Recipient("shop", text+", c@d.example"), text)
	}
}

func TestWhatIsNoAddressHasNoRecipientsKey(t *testing.T) {
	for _, text := range []string{"", "anna", "customer-77", "anna@", "@example.com", "a@b.example, c@d.example", "Anna anna@example.com", "a..b@c..d.example", "a..b@c@d.example", "..", "a b..c@d.example", strings.Repeat("a", 320) + "@example.com"} {
		require.Nil(t, userkey.New(secret).Recipient("shop", text), text)
	}
}

func TestSitesAndSecretsHaveOtherKeys(t *testing.T) {
	maker := userkey.New(secret)
	require.NotEqual(t, maker.Of("shop", "anna@example.com"), maker.Of("blog", "anna@example.com"))
	require.NotEqual(t, maker.Of("shop", "anna@example.com"), userkey.New(secret+"x").Of("shop", "anna@example.com"))
}
