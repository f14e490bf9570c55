package consume

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAQuietPartitionMayDeclareSomeBatchesAtOnceAndABusyOneKeepsTheGap(t *testing.T) {
	p := pace{gap: 8 * time.Second}
	now := time.Hour
	declare := func() (waited time.Duration) {
		waited = max(p.wait(now), 0)
		now += waited
		p.declared(now)
		return waited
	}
	for range insertBurst {
		require.Zero(t, declare())
	}
	require.Equal(t, p.gap, declare())
	now += 2 * p.gap
	require.Zero(t, declare())
	require.Zero(t, declare())
	require.Equal(t, p.gap, declare(), "two gaps of quiet are worth two batches")

	start, batches := now, 1000
	for range batches {
		now += time.Second // the work
		declare()
	}
	require.Equal(t, time.Duration(batches)*p.gap, now-start)
}
