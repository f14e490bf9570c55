package seal_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/services/console/internal/seal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func sealer(t testing.TB, secret string) *seal.Sealer {
	t.Helper()
	s, err := seal.New(secret)
	require.NoError(t, err)
	return s
}

func TestWhatIsSealedCanBeOpenedByAllWithTheSecretForTheSameUseOnly(t *testing.T) {
	s := sealer(t, "secret")
	text := s.Seal([]byte("page 2 of anna"), "members of shop/cart")
	require.NotContains(t, text, "anna")
	content, err := sealer(t, "secret").Open(text, "members of shop/cart")
	require.NoError(t, err)
	require.Equal(t, "page 2 of anna", string(content))
	require.NotEqual(t, text, s.Seal([]byte("page 2 of anna"), "members of shop/cart"), "equal contents can't be told")

	for name, open := range map[string]func() ([]byte, error){
		"another use":    func() ([]byte, error) { return s.Open(text, "members of blog/cart") },
		"another secret": func() ([]byte, error) { return sealer(t, "other").Open(text, "members of shop/cart") },
		"empty":          func() ([]byte, error) { return s.Open("", "members of shop/cart") },
		"cut short":      func() ([]byte, error) { return s.Open(text[:10], "members of shop/cart") },
		"no base64":      func() ([]byte, error) { return s.Open(text+"!", "members of shop/cart") },
	} {
		_, err := open()
		require.ErrorIs(t, err, seal.ErrForged, name)
	}
	for i := range text {
		changed := []byte(text)
		changed[i] = "AB"[strings.Count(text[i:i+1], "A")]
		_, err := s.Open(string(changed), "members of shop/cart")
		require.ErrorIs(t, err, seal.ErrForged, "character %d", i)
	}
}

func TestAnIDTellsItsOwner(t *testing.T) {
	s := sealer(t, "secret")
	id := s.NewID("shop")
	require.Equal(t, uuid.Version(8), id.Version())
	require.Equal(t, uuid.RFC4122, id.Variant())
	require.True(t, sealer(t, "secret").Owns(id, "shop"))
	require.False(t, s.Owns(id, "blog"))
	require.False(t, sealer(t, "other").Owns(id, "shop"))
	require.False(t, s.Owns(uuid.New(), "shop"))
	require.False(t, s.Owns(uuid.Nil, "shop"))
	for i := range id {
		changed := id
		changed[i] ^= 1
		require.False(t, s.Owns(changed, "shop"), "byte %d", i)
	}
	require.NotEqual(t, id, s.NewID("shop"))
}

func FuzzOpen(f *testing.F) {
	s := sealer(f, "secret")
	f.Add(s.Seal([]byte("x"), "use"))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if content, err := s.Open(text, "use"); err == nil {
			require.Equal(t, "x", string(content))
		} else {
			require.ErrorIs(t, err, seal.ErrForged)
		}
	})
}
