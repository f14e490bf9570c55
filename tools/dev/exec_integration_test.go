//go:build integration

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// devRun is a run of the command with a folder of its own for temporary files, which tells its processes from others.
type devRun struct {
	*exec.Cmd
	temp   string
	stdout string // file
	stderr bytes.Buffer
}

func dev(t *testing.T, args ...string) *devRun {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	r := &devRun{Cmd: exec.Command(self, args...), temp: t.TempDir(), stdout: filepath.Join(t.TempDir(), "out")}
	out, err := os.Create(r.stdout)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, out.Close()) })
	r.Env = append(os.Environ(), asDev+"=1", "TMPDIR="+r.temp)
	r.Stdout, r.Stderr = out, &r.stderr
	return r
}

// started waits until the command has printed a word.
func (r *devRun) started(t *testing.T, word string) {
	t.Helper()
	require.NoError(t, r.Start())
	require.Eventually(t, func() bool { return strings.Contains(r.printed(t), word) }, 2*time.Minute, 20*time.Millisecond)
}

func (r *devRun) printed(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(r.stdout)
	require.NoError(t, err)
	return string(text)
}

// processes returns the ids of the processes with some text in their command line and this run's folder, too.
func (r *devRun) processes(t *testing.T, text string) (pids []int) {
	t.Helper()
	out, err := exec.Command("ps", "-Ao", "pid=,args=").Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(out)) {
		if pid, args, _ := strings.Cut(strings.TrimSpace(line), " "); strings.Contains(args, r.temp) && strings.Contains(args, text) {
			n, err := strconv.Atoi(pid)
			require.NoError(t, err)
			pids = append(pids, n)
		}
	}
	return pids
}

// requireNothingLeft waits until no process of the run lives.
func (r *devRun) requireNothingLeft(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return len(r.processes(t, "")) == 0 }, 30*time.Second, 20*time.Millisecond)
}

func requireCode(t *testing.T, want int, err error) {
	t.Helper()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, want, exit.ExitCode())
}

func TestExecGivesItsCommandTheAddressesAndReturnsItsCode(t *testing.T) {
	r := dev(t, "exec", "--", "sh", "-c", `echo "$ONEPX_TEST_KAFKA $ONEPX_TEST_CLICKHOUSE $ONEPX_TEST_CLICKHOUSE_HTTP"; exit 3`)
	requireCode(t, 3, r.Run())
	require.Regexp(t, `^127\.0\.0\.1:\d+ 127\.0\.0\.1:\d+ http://127\.0\.0\.1:\d+\n$`, r.printed(t))
	require.Empty(t, r.stderr.String())
	r.requireNothingLeft(t)
	left, err := os.ReadDir(r.temp)
	require.NoError(t, err)
	require.Empty(t, left, "the temporary folder")
}

func TestExecStartsOnlyWhatIsAskedFor(t *testing.T) {
	r := dev(t, "exec", "--clickhouse", "sh", "-c", `echo "${ONEPX_TEST_KAFKA-none} ${ONEPX_TEST_CLICKHOUSE:+some}"`)
	require.NoError(t, r.Run())
	require.Equal(t, "none some\n", r.printed(t))
}

func TestCtrlCEndsTheCommandAndTheParts(t *testing.T) {
	r := dev(t, "exec", "--", "sh", "-c", `echo started; sleep 600 & wait`)
	r.started(t, "started")
	require.NotEmpty(t, r.processes(t, "kafka.Kafka"))
	require.NotEmpty(t, r.processes(t, "clickhouse-server"))
	require.NoError(t, r.Process.Signal(os.Interrupt))
	requireCode(t, 130, r.Wait())
	require.Contains(t, r.stderr.String(), "sh stopped: interrupt")
	r.requireNothingLeft(t)
}

func TestCtrlCWhileThePartsStartEndsThem(t *testing.T) {
	r := dev(t, "exec", "--", "sh", "-c", `echo started`)
	require.NoError(t, r.Start())
	require.Eventually(t, func() bool { return len(r.processes(t, "kafka.Kafka")) > 0 }, time.Minute, 5*time.Millisecond)
	require.NoError(t, r.Process.Signal(os.Interrupt))
	requireCode(t, 130, r.Wait())
	require.Empty(t, r.printed(t))
	r.requireNothingLeft(t)
}

func TestAKilledExecLeavesNoPart(t *testing.T) {
	r := dev(t, "exec", "--", "sh", "-c", `echo started; exec sleep 600`)
	r.started(t, "started")
	require.NoError(t, r.Process.Kill())
	require.Error(t, r.Wait())
	r.requireNothingLeft(t)
}

func TestExecEndsWithTheProcessThatStartedIt(t *testing.T) {
	r := dev(t, "exec", "--clickhouse", "--", "sh", "-c", `echo started; exec sleep 600`)
	r.Path, r.Args = "/bin/sh", append([]string{"sh", "-c", `"$@"; true`, "sh"}, r.Args...)
	r.started(t, "started")
	require.NoError(t, r.Process.Kill())
	require.Error(t, r.Wait())
	r.requireNothingLeft(t)
}

func TestAPartThatEndsMeanwhileFailsTheRunWithItsLog(t *testing.T) {
	r := dev(t, "exec", "--clickhouse", "--", "sh", "-c", `echo started; until [ -e "$TMPDIR/end" ]; do sleep 0.02; done`)
	r.started(t, "started")
	for _, pid := range r.processes(t, "clickhouse-server") {
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		// Until whoever started it has taken notice, it is there as a zombie.
		require.Eventually(t, func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }, 10*time.Second, time.Millisecond)
	}
	require.NoError(t, os.WriteFile(filepath.Join(r.temp, "end"), nil, 0o600))
	requireCode(t, 125, r.Wait())
	require.Contains(t, r.stderr.String(), "a part ended while the command ran")
	require.Contains(t, r.stderr.String(), "clickhouse.log")
}

func TestExecWithoutAProgramToRunStartsNothing(t *testing.T) {
	for name, args := range map[string][]string{
		"a program that does not exist": {"exec", "--", "does-not-exist"},
		"nothing after --":              {"exec", "--"},
		"nothing at all":                {"exec"},
	} {
		t.Run(name, func(t *testing.T) {
			r := dev(t, args...)
			err := r.Run()
			require.ErrorAs(t, err, new(*exec.ExitError))
			require.False(t, errors.Is(err, os.ErrNotExist))
			require.Contains(t, r.stderr.String(), "dev: ")
		})
	}
}
