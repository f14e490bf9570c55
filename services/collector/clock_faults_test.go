//go:build faults

package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestADrillMovesTheClock(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clock")
	t.Setenv("ONEPX_FAULT_CLOCK_FILE", file)
	for _, text := range []string{"2026-10-25T00:30:00.25Z\n", "2026-10-25T02:30:00.25+02:00"} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		require.True(t, time.Date(2026, 10, 25, 0, 30, 0, 250_000_000, time.UTC).Equal(now()))
	}
	require.NoError(t, os.WriteFile(file, []byte("soon"), 0o600))
	require.Panics(t, func() { now() })
	t.Setenv("ONEPX_FAULT_CLOCK_FILE", "")
	require.WithinDuration(t, time.Now(), now(), time.Minute)
}
