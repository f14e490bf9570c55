package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/consumer/internal/store"
)

func TestEverySignalHasAWordInTheRow(t *testing.T) {
	for number, name := range map[onepxv1.ConsentSignal]string{
		onepxv1.ConsentSignal_CONSENT_SIGNAL_US_PRIVACY:          "us_privacy",
		onepxv1.ConsentSignal_CONSENT_SIGNAL_GOOGLE_CONSENT_MODE: "google_consent_mode",
		onepxv1.ConsentSignal_CONSENT_SIGNAL_TCF:                 "tcf",
		onepxv1.ConsentSignal_CONSENT_SIGNAL_GPP:                 "gpp",
		onepxv1.ConsentSignal_CONSENT_SIGNAL_COPPA:               "coppa",
		onepxv1.ConsentSignal_CONSENT_SIGNAL_UNSPECIFIED:         "unknown",
		10_000: "unknown", // newer than this consumer
	} {
		var row store.Row
		row.Fill(&onepxv1.Event{Consent: &onepxv1.Consent{Measure: true, DecidedBy: number}}, enrich.Facts{})
		require.Equal(t, name, row.ConsentDecidedBy)
		require.True(t, row.ConsentMeasure)
	}
}

func TestEveryClassOfNetworkHasAWordInTheRow(t *testing.T) {
	for number, name := range map[onepxv1.NetworkClass]string{
		onepxv1.NetworkClass_NETWORK_CLASS_PUBLIC:     "public",
		onepxv1.NetworkClass_NETWORK_CLASS_DATACENTER: "datacenter",
		10_000: "unknown", // newer than this consumer
	} {
		var row store.Row
		row.Fill(&onepxv1.Event{Client: &onepxv1.Client{NetworkClass: number}}, enrich.Facts{})
		require.Equal(t, name, row.NetworkClass)
	}
}
