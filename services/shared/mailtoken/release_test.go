package mailtoken_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/mailtoken"
)

// TestTokensOfEveryReleaseAreBelieved: mails that were sent are opened for years. Lines of old releases stay.
func TestTokensOfEveryReleaseAreBelieved(t *testing.T) {
	r := ring(t, "k1:"+secretA)
	for token, kind := range map[string]mailtoken.Kind{
		"AQEIAmsxAGsIH0ABAgMEBQYHCAkKCwwNDg8QBHNob3AJYXV0dW1uLTI2EjAxOTBiNWFkLTNjMmUtN2IxZoGFlFY9R2XNSyPmXTjP9SI":          mailtoken.Open,
		"AQIIAmsxAGsIH0ABAgMEBQYHCAkKCwwNDg8QBHNob3AJYXV0dW1uLTI2EjAxOTBiNWFkLTNjMmUtN2IxZgYzLTFmOWEPg64jiYW6O_8Pr2sQ-xb-": mailtoken.Click,
		"AQMIAmsxAGsIH0ABAgMEBQYHCAkKCwwNDg8QBHNob3AJYXV0dW1uLTI2EjAxOTBiNWFkLTNjMmUtN2IxZo0uN4lV8TFFJOGXZgNph7w":          mailtoken.Unsubscribe,
	} {
		want := click(func(t *mailtoken.Token) {
			if t.Kind = kind; kind != mailtoken.Click {
				t.Link = ""
			}
		})
		got, err := r.Verify(kind, token, targetOf(kind), noon)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}
