package localstack_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/tools/internal/localstack"
)

// script returns a configuration that runs a shell script, which is ready when its log has the word ready.
func script(t *testing.T, text string) localstack.ProcessConfig {
	t.Helper()
	log := filepath.Join(t.TempDir(), "script.log")
	return localstack.ProcessConfig{
		Name: "script", Path: "sh", Args: []string{"-c", text}, LogFile: log,
		Ready: func(context.Context) error {
			if text, err := os.ReadFile(log); err != nil || !bytes.Contains(text, []byte("ready")) {
				return errors.Join(errors.New("not yet"), err)
			}
			return nil
		},
	}
}

func start(t *testing.T, cfg localstack.ProcessConfig) *localstack.Process {
	t.Helper()
	p, err := localstack.StartProcess(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Kill()) })
	return p
}

// gone tells whether no process of a group is left (a zombie that nobody has waited for yet does not count as left).
func gone(pid int) bool { return errors.Is(syscall.Kill(-pid, 0), syscall.ESRCH) }

func TestAProcessThatEndsBeforeItIsReadyIsAnErrorWithTheEndOfItsLog(t *testing.T) {
	p, err := localstack.StartProcess(t.Context(), script(t, "echo no disk; exit 7"))
	require.Nil(t, p)
	require.ErrorContains(t, err, "start script: it ended: exit status 7")
	require.ErrorContains(t, err, "no disk")
}

func TestAProcessThatEndsWellBeforeItIsReadyIsAnErrorToo(t *testing.T) {
	_, err := localstack.StartProcess(t.Context(), script(t, "exit 0"))
	require.ErrorContains(t, err, "it ended: exit status 0")
}

func TestAProcessThatIsNotReadyInTimeIsStopped(t *testing.T) {
	cfg := script(t, "echo $$; exec sleep 600")
	cfg.ReadyTimeout = 200 * time.Millisecond
	_, err := localstack.StartProcess(t.Context(), cfg)
	require.ErrorContains(t, err, "not ready after 200ms (not yet)")
	require.True(t, gone(readPID(t, cfg.LogFile)))
}

func TestAProgramThatDoesNotExistIsAnError(t *testing.T) {
	_, err := localstack.StartProcess(t.Context(), localstack.ProcessConfig{Name: "nothing", Path: "/does/not/exist"})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestStopEndsTheWholeGroupAlsoWhenItIsPaused(t *testing.T) {
	p := start(t, script(t, "sleep 600 & echo ready; wait"))
	require.NoError(t, p.Pause())
	require.NoError(t, p.Stop())
	require.Eventually(t, func() bool { return gone(p.PID()) }, 10*time.Second, time.Millisecond)
	require.NoError(t, p.Stop(), "stopping what has ended")
}

func TestStopKillsWhatIgnoresIt(t *testing.T) {
	cfg := script(t, "trap '' TERM; echo ready; while :; do sleep 1; done")
	cfg.StopTimeout = 100 * time.Millisecond
	p := start(t, cfg)
	require.ErrorContains(t, p.Stop(), "still running 100ms after SIGTERM, killed")
	require.Error(t, p.Wait())
}

func TestAPausedProcessStandsStillUntilItIsResumed(t *testing.T) {
	p := start(t, script(t, "echo ready; exec sleep 600"))
	stopped := func() bool { return processState(t, p.PID()) == "T" }
	require.NoError(t, p.Pause())
	require.Eventually(t, stopped, 10*time.Second, time.Millisecond)
	require.NoError(t, p.Resume())
	require.Eventually(t, func() bool { return !stopped() }, 10*time.Second, time.Millisecond)
}

func TestAKilledProcessCanBeStartedAgain(t *testing.T) {
	p := start(t, script(t, "echo ready; exec sleep 600"))
	first := p.PID()
	require.ErrorContains(t, p.Start(t.Context()), "it is running")
	require.NoError(t, p.Kill())
	require.Error(t, p.Wait())
	require.NoError(t, p.Start(t.Context()))
	require.NotEqual(t, first, p.PID())
	require.NoError(t, p.Restart(t.Context()))
}

func TestRunProcessReturnsWhenTheProgramEnds(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"exit code 0 is no error":                          {"true", ""},
		"another one is, with the log":                     {"echo broken; exit 3", "run script: exit status 3"},
		"an error shows what was printed":                  {"echo broken; exit 3", "broken"},
		"a program that is killed is an error, not a hang": {"kill -9 $$", "signal: killed"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := script(t, c.text)
			cfg.Ready = nil
			err := localstack.RunProcess(t.Context(), cfg)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestRunProcessStopsTheProgramWhenItsContextEnds(t *testing.T) {
	cfg := script(t, "echo $$; echo ready; exec sleep 600")
	ready := cfg.Ready
	ctx, cancel := context.WithCancel(t.Context())
	cfg.Ready = func(ctx context.Context) error {
		err := ready(ctx)
		if err == nil {
			cancel()
		}
		return err
	}
	require.ErrorIs(t, localstack.RunProcess(ctx, cfg), context.Canceled)
	require.True(t, gone(readPID(t, cfg.LogFile)))
}

func TestAChildDiesWithTheProcessThatStartedIt(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	log := filepath.Join(t.TempDir(), "child.log")
	parent := exec.Command(self)
	parent.Env = append(os.Environ(), parentLog+"="+log)
	require.NoError(t, parent.Start())
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(log)
		return err == nil && len(text) > 0
	}, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, parent.Process.Kill())
	require.Error(t, parent.Wait())
	child := readPID(t, log)
	require.Eventually(t, func() bool {
		s := processState(t, child)
		return s == "" || s == "Z"
	}, 10*time.Second, time.Millisecond)
}

func TestHTTPReadyAcceptsOnly2xx(t *testing.T) {
	status := http.StatusServiceUnavailable
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte("no kafka\n"))
	}))
	defer server.Close()
	ready := localstack.HTTPReady(server.URL + "/readyz")
	require.ErrorContains(t, ready(t.Context()), "/readyz answers 503 Service Unavailable: no kafka")
	status = http.StatusNoContent
	require.NoError(t, ready(t.Context()))
}

func TestLogTailShowsTheLastLines(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.log")
	require.NoError(t, os.WriteFile(name, append(bytes.Repeat([]byte("old\n"), 10_000), "a\nb\n"...), 0o600))
	require.Equal(t, "end of "+name+":\n  old\n  a\n  b", localstack.LogTail(name, 3))
	require.Contains(t, localstack.LogTail(name+".not", 3), "no such file")
}

// readPID reads the process id that a script has printed first.
func readPID(t *testing.T, log string) int {
	t.Helper()
	text, err := os.ReadFile(log)
	require.NoError(t, err)
	first, _, _ := bytes.Cut(text, []byte("\n"))
	pid, err := strconv.Atoi(string(first))
	require.NoError(t, err)
	return pid
}

// processState returns the kernel's letter for a process: T is stopped, Z a zombie, empty none.
func processState(t *testing.T, pid int) string {
	t.Helper()
	out, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		require.NoError(t, err)
	}
	return string(bytes.TrimSpace(out))
}

func TestWhatAbortsIsStartedAgainUnlessItIsToEnd(t *testing.T) {
	cfg := script(t, "trap 'kill -ABRT $$' TERM; echo ready; while :; do sleep 0.01; done")
	cfg.RestartAborted = true
	p := start(t, cfg)
	first := p.PID()
	require.NoError(t, syscall.Kill(first, syscall.SIGABRT))
	require.Eventually(t, func() bool { return p.PID() != first && !gone(p.PID()) }, 10*time.Second, time.Millisecond, "a new life")
	require.Eventually(t, func() bool {
		log, err := os.ReadFile(cfg.LogFile)
		return err == nil && bytes.Count(log, []byte("ready")) == 2
	}, 10*time.Second, time.Millisecond, "which has its trap")
	require.NoError(t, p.Stop(), "it aborts when it is asked to end")
	require.True(t, gone(p.PID()))
}
