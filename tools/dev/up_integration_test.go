//go:build integration

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// checkout makes a folder that looks like a checkout after `up` has built, with scripts for programs: the consumer's
// migrations are given, and what should run is ready.
func checkout(t *testing.T, migrate string) folder {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	root, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(root, "go.work"), nil, 0o600))
	dev := folder(filepath.Join(root, ".dev"))
	require.NoError(t, os.MkdirAll(dev.path("bin"), 0o755))
	for name, address := range map[string]string{"consumer": "$ONEPX_CONSUMER_ADMIN_LISTEN", "collector": "$ONEPX_COLLECTOR_ADMIN_LISTEN", "console": "$ONEPX_CONSOLE_ADMIN_LISTEN"} {
		script := fmt.Sprintf("#!/bin/sh\ncase $1 in\nmigrate) %[1]s ;;\nrun) %[2]s=%[3]s exec %[4]s ;;\njobs) %[2]s=$ONEPX_JOBS_ADMIN_LISTEN exec %[4]s ;;\nesac\n", migrate, asService, address, self)
		require.NoError(t, os.WriteFile(dev.bin(name), []byte(script), 0o755))
	}
	return dev
}

// inCheckout is a run of the command in a checkout; processes with that folder in their command line belong to it.
func inCheckout(t *testing.T, d folder, args ...string) *devRun {
	t.Helper()
	r := dev(t, args...)
	r.Dir, r.temp = d.root(), d.root()
	return r
}

func TestUpAndDownOfAWholeStack(t *testing.T) {
	d := checkout(t, "true")
	supervisor := inCheckout(t, d, "supervise")
	require.NoError(t, supervisor.Start())
	ended := make(chan error, 1)
	go func() { ended <- supervisor.Wait() }()
	require.Eventually(t, func() bool {
		_, err := os.Stat(d.path("env"))
		return err == nil
	}, 2*time.Minute, 20*time.Millisecond)

	st, err := d.readState()
	require.NoError(t, err)
	require.Equal(t, supervisor.Process.Pid, st.Supervisor)
	require.Len(t, st.Parts, 6)

	second := inCheckout(t, d, "up")
	require.NoError(t, second.Run())
	require.Contains(t, second.printed(t), "it already runs")

	down := inCheckout(t, d, "down")
	require.NoError(t, down.Run())
	require.Equal(t, "stopped\n", down.printed(t))
	require.NoError(t, <-ended)
	require.NoDirExists(t, string(d))
	supervisor.requireNothingLeft(t)

	again := inCheckout(t, d, "down")
	require.NoError(t, again.Run())
	require.Equal(t, "nothing runs\n", again.printed(t))
}

func TestAStackOfWhichAPartFailsStopsWithThatPartsLog(t *testing.T) {
	d := checkout(t, "echo no such table; exit 1")
	supervisor := inCheckout(t, d, "supervise")
	requireCode(t, 1, supervisor.Run())
	require.Contains(t, supervisor.stderr.String(), "run migrate: exit status 1")
	require.Contains(t, supervisor.stderr.String(), "no such table")
	require.NoFileExists(t, d.path("env"))
	supervisor.requireNothingLeft(t)
}

func TestAKilledSupervisorLeavesNoPartAndDownCleansUp(t *testing.T) {
	d := checkout(t, "true")
	supervisor := inCheckout(t, d, "supervise")
	require.NoError(t, supervisor.Start())
	require.Eventually(t, func() bool {
		st, err := d.readState()
		return err == nil && len(st.Parts) > 0
	}, 2*time.Minute, 20*time.Millisecond)
	require.NoError(t, supervisor.Process.Kill())
	require.Error(t, supervisor.Wait())
	supervisor.requireNothingLeft(t)
	down := inCheckout(t, d, "down")
	require.NoError(t, down.Run())
	require.NoDirExists(t, string(d))
}
