package consume

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// TestWhatConsumersOfEveryReleaseCommittedIsTakenUp: the consumer of a release that takes over, or comes back, finds the batches that
// the other one declared. Lines of old releases stay; one that this release would commit differently is a new version.
func TestWhatConsumersOfEveryReleaseCommittedIsTakenUp(t *testing.T) {
	for metadata, want := range map[string]*Declaration{
		"v1 idle":                nil,
		"v1 idle suppression=17": nil,
		"v1 last=15 at=1700000000123 day=2023-11-14 rules=0f1e2d3c suppression=3 hash=00000000000000ff": {
			Range: store.Range{Partition: partition, First: 10, Last: 15}, At: time.UnixMilli(1_700_000_000_123).UTC(),
			Day: time.Date(2023, 11, 14, 0, 0, 0, 0, time.UTC), Rules: "0f1e2d3c", Suppression: 3, Hash: 255,
		},
	} {
		got, err := parseDeclaration(partition, 10, metadata)
		require.NoError(t, err, metadata)
		require.Equal(t, want, got, metadata)
		if want == nil {
			require.Equal(t, metadata, idleAt(suppressionOf(nil, metadata)))
			continue
		}
		require.Equal(t, metadata, got.Metadata())
		// Both consumers must insert under the same token, or a batch that is inserted twice counts twice.
		require.Equal(t, partition.Topic+"/3/10-15/00000000000000ff/1700000000123", got.Token())
	}
}
