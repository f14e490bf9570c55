package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/tools/internal/pipeline"
)

func newFolder(t *testing.T) folder {
	t.Helper()
	dev := folder(filepath.Join(t.TempDir(), ".dev"))
	require.NoError(t, os.MkdirAll(dev.path("log"), 0o755))
	return dev
}

func TestAShellReadsTheAddressesAsTheyAre(t *testing.T) {
	dev := newFolder(t)
	want := []string{"http://onepx:a'b\"c$HOME@127.0.0.1:1", "two words", ""}
	vars := []variable{{"A", want[0]}, {"B", want[1]}, {"C", want[2]}}
	require.NoError(t, dev.write("env", shellAssignments(vars)))
	out, err := exec.Command("sh", "-c", `. "$0" && printf '%s\n' "$A" "$B" "$C"`, dev.path("env")).Output()
	require.NoError(t, err)
	require.Equal(t, strings.Join(want, "\n")+"\n", string(out))
}

func TestTheAddressesHaveTheirPromisedNames(t *testing.T) {
	a := addresses{
		kafka: "127.0.0.1:1", clickhouseNative: "127.0.0.1:2", clickhouseHTTP: "http://127.0.0.1:3",
		collector: "127.0.0.1:4", collectorAdmin: "127.0.0.1:5", consumerAdmin: "127.0.0.1:6",
		jobsAdmin: "127.0.0.1:7", console: "127.0.0.1:8", consoleAdmin: "127.0.0.1:9", consoleKey: "KEY",
	}
	require.Equal(t, `ONEPX_COLLECTOR='http://127.0.0.1:4'
ONEPX_COLLECTOR_ADMIN='http://127.0.0.1:5'
ONEPX_CONSUMER_ADMIN='http://127.0.0.1:6'
ONEPX_JOBS_ADMIN='http://127.0.0.1:7'
ONEPX_CONSOLE='http://127.0.0.1:8'
ONEPX_CONSOLE_ADMIN='http://127.0.0.1:9'
ONEPX_CONSOLE_KEY='KEY'
ONEPX_CLICKHOUSE_HTTP='http://127.0.0.1:3'
ONEPX_CLICKHOUSE_NATIVE='127.0.0.1:2'
ONEPX_KAFKA='127.0.0.1:1'
`, shellAssignments(a.vars()))
}

func TestTheServicesDoNotSeeTheSettingsOfTheShell(t *testing.T) {
	t.Setenv("ONEPX_SECRET", "of the shell")
	t.Setenv("ONEPX_CACHE", "/cache")
	t.Setenv("LANG", "C")
	env := pipeline.CleanEnv()
	require.NotContains(t, env, "ONEPX_SECRET=of the shell")
	require.Contains(t, env, "ONEPX_CACHE=/cache")
	require.Contains(t, env, "LANG=C")
}

func TestTheFolderIsFoundFromAnywhereInTheCheckout(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(root, "services/collector"), 0o755))
	t.Chdir(filepath.Join(root, "services/collector"))
	_, err = findFolder()
	require.ErrorContains(t, err, "is not in a checkout")
	require.NoError(t, os.WriteFile(filepath.Join(root, "go.work"), nil, 0o600))
	dev, err := findFolder()
	require.NoError(t, err)
	require.Equal(t, folder(filepath.Join(root, ".dev")), dev)
	require.Equal(t, root, dev.root())
}

func TestOnlyOneUpOrDownWorksOnAFolder(t *testing.T) {
	dev := newFolder(t)
	first, err := dev.command()
	require.NoError(t, err)
	_, err = dev.command()
	require.ErrorContains(t, err, "another up or down")
	require.NoError(t, first.Close())
	second, err := dev.command()
	require.NoError(t, err)
	require.NoError(t, second.Close())
}

func TestAStackRunsAsLongAsItsSupervisorHoldsTheLock(t *testing.T) {
	dev := newFolder(t)
	running := func() bool {
		is, err := dev.running()
		require.NoError(t, err)
		return is
	}
	require.False(t, running(), "no lock")
	lock := flock.New(dev.path("lock"))
	locked, err := lock.TryLock()
	require.NoError(t, err)
	require.True(t, locked)
	require.True(t, running())
	require.NoError(t, lock.Close())
	require.False(t, running(), "a lock that nobody holds")
}

func TestClearingAFolderKeepsTheCommandsLock(t *testing.T) {
	dev := newFolder(t)
	lock, err := dev.command()
	require.NoError(t, err)
	defer lock.Close()
	require.NoError(t, dev.write("env", ""))
	require.NoError(t, dev.clear())
	entries, err := os.ReadDir(string(dev))
	require.NoError(t, err)
	require.Len(t, entries, 1)
	_, err = dev.command()
	require.Error(t, err, "the lock still holds")
}

func TestTheStateIsReadAsItWasWritten(t *testing.T) {
	dev := newFolder(t)
	_, err := dev.readState()
	require.ErrorIs(t, err, os.ErrNotExist)
	want := state{Supervisor: 1, Parts: []part{{Name: "kafka", PID: 2, Log: dev.log("kafka")}}}
	require.NoError(t, dev.writeState(want))
	got, err := dev.readState()
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.NoError(t, dev.write("state.json", "{"))
	_, err = dev.readState()
	require.ErrorContains(t, err, "state.json: unexpected end of JSON input")
}

// lockedText is a buffer for follow, which is read while it is written.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lockedText) has(line string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains("\n"+l.text.String(), "\n"+line+"\n")
}

func TestLogsAreFollowedBehindTheNameOfTheirPart(t *testing.T) {
	dev := newFolder(t)
	add := func(name, text string) {
		f, err := os.OpenFile(dev.log(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		require.NoError(t, err)
		defer f.Close()
		_, err = f.WriteString(text)
		require.NoError(t, err)
	}
	add("kafka", "started\n")
	add("collector", "listens\n")
	ctx, cancel := context.WithCancel(t.Context())
	var out lockedText
	done := make(chan error)
	go func() { done <- follow(ctx, []string{dev.log("kafka"), dev.log("collector")}, &out) }()
	require.Eventually(t, func() bool { return out.has("kafka     | started") && out.has("collector | listens") },
		10*time.Second, time.Millisecond)
	add("kafka", "stopped\n")
	require.Eventually(t, func() bool { return out.has("kafka     | stopped") }, 10*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-done)
}
