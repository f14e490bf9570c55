package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/webhooks"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

func TestASecretThatIsMissingOrShortEndsTheStart(t *testing.T) {
	sites, err := siteconfig.Parse("onepx.yaml", []byte(`sites:
  - {id: blog, timezone: UTC, currency: EUR}
  - id: shop
    timezone: UTC
    currency: EUR
    webhooks:
      - {url: "https://a.example", secret_env: NONE, events: [audiences]}
      - {url: "https://b.example", secret_env: SHORT, events: [audiences]}
      - {url: "https://c.example", secret_env: GOOD, events: [audiences]}
`))
	require.NoError(t, err)
	known := map[string]string{"SHORT": "fifteen bytes..", "GOOD": "sixteen bytes..."}
	_, err = webhookAddresses(sites, func(name string) string { return known[name] })
	require.EqualError(t, err, "sites[1].webhooks[0].secret_env: the environment variable NONE is not set\n"+
		"sites[1].webhooks[1].secret_env: the secret in SHORT has 15 bytes; give it at least 16, made by chance")
	known["NONE"], known["SHORT"] = known["GOOD"], known["GOOD"]
	addresses, err := webhookAddresses(sites, func(name string) string { return known[name] })
	require.NoError(t, err)
	require.Equal(t, webhooks.Address{Site: "shop", URL: "https://c.example", Event: siteconfig.WebhookAudiences, Secret: "sixteen bytes..."}, addresses[2])
	require.Len(t, addresses, 3)
}
