package deliveries

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestATokenProvesOneEventOnly(t *testing.T) {
	used := newUsedTokens(3)
	for i := range 7 {
		require.True(t, used.claim(strconv.Itoa(i), "a"))
		require.True(t, used.claim(strconv.Itoa(i), "a"), "again")
		require.False(t, used.claim(strconv.Itoa(i), "b"))
	}
	for _, token := range []string{"4", "5", "6"} {
		require.False(t, used.claim(token, "b"), "those are still known")
	}
	require.Len(t, used.events, 3)
	require.True(t, used.claim("3", "b"), "that is forgotten")
	require.Len(t, used.events, 3)
}
