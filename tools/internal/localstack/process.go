package localstack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// ProcessConfig says what to run and when it counts as ready.
type ProcessConfig struct {
	// Name is the part's name in messages.
	Name string
	// Path is the program, Args its arguments without the program itself.
	Path string
	Args []string
	// Dir is the working directory; empty means the caller's.
	Dir string
	// Env is added to BaseEnv; the last of two equal names counts.
	Env []string
	// BaseEnv is the environment to start from; nil means the caller's.
	BaseEnv []string
	// LogFile takes standard output and error, appended. Empty means the caller's own.
	LogFile string
	// LogLines is how many lines from the log's end an error carries; 0 means 20.
	LogLines int
	// Ready is asked again and again until it returns nil; nil means ready at once. Its context ends after two seconds.
	Ready func(ctx context.Context) error
	// ReadyTimeout bounds the wait for Ready; 0 means two minutes, which a busy machine may need.
	ReadyTimeout time.Duration
	// StopTimeout is how long Stop waits after SIGTERM before it kills; 0 means 30 s.
	StopTimeout time.Duration
	// Detached lets the process outlive its starter.
	Detached bool
	// RestartAborted starts a process again that was ended by its own abort or crash; PID then changes.
	RestartAborted bool
}

const (
	defaultReadyTimeout = 2 * time.Minute
	defaultStopTimeout  = 30 * time.Second
	defaultLogLines     = 20
	readyAttempt        = 2 * time.Second
	readyInterval       = 50 * time.Millisecond
)

// Process is a child process that can be stopped, killed, paused and started again. It leads its own process group, so
// signals reach what it started as well and a Ctrl-C of the terminal does not; the rest of the group ends with it. Methods
// may be called from any goroutine.
type Process struct {
	cfg ProcessConfig

	mu  sync.Mutex // guards run
	run *run
}

// run is one life of a Process.
type run struct {
	pid  atomic.Int64
	done chan struct{} // closed when the process has ended and was waited for
	err  error         // set before done is closed; nil for exit code 0

	mu       sync.Mutex // guards what follows, and that no process is started again once it is true
	unwanted bool       // it is to end
}

// end signals the process that it must end; it is not started again from then on.
func (r *run) end(signals ...syscall.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unwanted = true
	var errs []error
	for _, sig := range signals {
		errs = append(errs, signalGroup(r.group(), sig))
	}
	return errors.Join(errs...)
}

// again starts the process that has ended with r.err once more, if that is wanted; nil if not.
func (r *run) again(cfg ProcessConfig) (*exec.Cmd, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.unwanted || !cfg.RestartAborted || !aborted(r.err) {
		return nil, nil //nolint:nilnil // it stays as it is
	}
	cmd, err := start(cfg)
	if err == nil {
		r.pid.Store(int64(cmd.Process.Pid))
	}
	return cmd, err
}

// StartProcess starts the process and waits until it is ready. If it ends or is not ready in time, it is stopped and the
// error carries the end of its log.
func StartProcess(ctx context.Context, cfg ProcessConfig) (*Process, error) {
	if cfg.ReadyTimeout == 0 {
		cfg.ReadyTimeout = defaultReadyTimeout
	}
	if cfg.StopTimeout == 0 {
		cfg.StopTimeout = defaultStopTimeout
	}
	if cfg.LogLines == 0 {
		cfg.LogLines = defaultLogLines
	}
	p := &Process{cfg: cfg}
	if err := p.Start(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

// Start starts a process that has ended, with the same configuration, and waits until it is ready.
func (p *Process) Start(ctx context.Context) error {
	if err := p.Launch(); err != nil {
		return err
	}
	return p.AwaitReady(ctx)
}

// Launch starts a process that has ended, with the same configuration, and does not wait until it is ready.
func (p *Process) Launch() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run != nil && !p.run.ended() {
		return fmt.Errorf("start %s: it is running as process %d", p.cfg.Name, p.run.group())
	}
	r, err := spawn(p.cfg)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.cfg.Name, err)
	}
	p.run = r
	return nil
}

// AwaitReady waits until the process is ready. If it ends or is not ready in time, it is stopped and the error carries the
// end of its log.
func (p *Process) AwaitReady(ctx context.Context) error {
	if err := p.awaitReady(ctx, p.current()); err != nil {
		return errors.Join(fmt.Errorf("start %s: %w%s", p.cfg.Name, err, p.logTail()), p.Stop())
	}
	return nil
}

// RunProcess runs a process to its end and returns an error with the end of its log unless the exit code is 0. It is
// stopped when the context ends.
func RunProcess(ctx context.Context, cfg ProcessConfig) error {
	p, err := StartProcess(ctx, cfg)
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("run %s: %w", cfg.Name, context.Cause(ctx)), p.Stop())
	}
	if err := p.Wait(); err != nil {
		return fmt.Errorf("run %s: %w%s", cfg.Name, err, p.logTail())
	}
	return nil
}

// spawn starts one life. The goroutine that waits for it holds its thread until then, because the kernel ends a child
// with Pdeathsig when the thread that started it ends.
func spawn(cfg ProcessConfig) (*run, error) {
	r := &run{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd, err := start(cfg)
		if err == nil {
			r.pid.Store(int64(cmd.Process.Pid))
		}
		started <- err
		if err != nil {
			return
		}
		defer close(r.done)
		for cmd != nil {
			r.err = cmd.Wait()
			_ = signalGroup(r.group(), syscall.SIGKILL) // what it started and left behind
			if cmd, err = r.again(cfg); err != nil {
				r.err = err
				return
			}
		}
	}()
	return r, <-started
}

// start starts the process once.
func start(cfg ProcessConfig) (*exec.Cmd, error) {
	// A context would end the child with SIGKILL; it ends by Stop or Kill.
	cmd := exec.CommandContext(context.Background(), cfg.Path, cfg.Args...)
	cmd.Dir = cfg.Dir
	base := cfg.BaseEnv
	if base == nil {
		base = os.Environ()
	}
	cmd.Env = append(append([]string{}, base...), cfg.Env...)
	cmd.SysProcAttr = childAttributes(cfg.Detached)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if cfg.LogFile != "" {
		log, err := openLog(cfg.LogFile)
		if err != nil {
			return nil, err
		}
		defer log.Close() // the child has its own descriptor
		cmd.Stdout, cmd.Stderr = log, log
	}
	return cmd, cmd.Start()
}

// goCrash is the exit code of a Go program that crashed.
const goCrash = 2

// aborted tells that a process ended by its own abort or crash, not by us.
func aborted(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && (status.ExitStatus() == goCrash || status.Signaled() && (status.Signal() == syscall.SIGABRT || status.Signal() == syscall.SIGSEGV))
}

// group is the process id, and that of the process group.
func (r *run) group() int { return int(r.pid.Load()) }

func openLog(name string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, err
	}
	return os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
}

func (r *run) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// awaitReady polls Ready until it returns nil, the process ends, or time is up.
func (p *Process) awaitReady(ctx context.Context, r *run) error {
	if p.cfg.Ready == nil {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.cfg.ReadyTimeout, fmt.Errorf("not ready after %s", p.cfg.ReadyTimeout))
	defer cancel()
	tick := time.NewTicker(readyInterval)
	defer tick.Stop()
	for {
		attempt, stop := context.WithTimeout(ctx, readyAttempt)
		err := p.cfg.Ready(attempt)
		stop()
		if err == nil {
			return nil
		}
		select {
		case <-r.done:
			return fmt.Errorf("it ended: %w", orExitZero(r.err))
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

func orExitZero(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// logTail returns the end of the log as lines for an error message.
func (p *Process) logTail() string {
	if p.cfg.LogFile == "" {
		return ""
	}
	return "\n" + LogTail(p.cfg.LogFile, p.cfg.LogLines)
}

// PID returns the process id of the current or last life, and of its process group.
func (p *Process) PID() int { return p.current().group() }

// LogFile returns the file with what the process printed.
func (p *Process) LogFile() string { return p.cfg.LogFile }

// Done returns a channel that is closed when the current life has ended.
func (p *Process) Done() <-chan struct{} { return p.current().done }

// Wait waits for the end of the current life and returns nil for exit code 0, an *exec.ExitError for another or a signal.
func (p *Process) Wait() error {
	r := p.current()
	<-r.done
	return r.err
}

func (p *Process) current() *run {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run
}

// Stop asks the process group to end with SIGTERM, also when it is paused, and waits. After StopTimeout it kills, and
// returns an error that says so. Stopping what has ended is no error.
func (p *Process) Stop() error {
	r := p.current()
	if r.ended() {
		return nil
	}
	if err := r.end(syscall.SIGTERM, syscall.SIGCONT); err != nil {
		return fmt.Errorf("stop %s: %w", p.cfg.Name, err)
	}
	select {
	case <-r.done:
		return nil
	case <-time.After(p.cfg.StopTimeout):
		return errors.Join(fmt.Errorf("stop %s: still running %s after SIGTERM, killed", p.cfg.Name, p.cfg.StopTimeout), p.Kill())
	}
}

// Kill ends the process group with SIGKILL, also when it is paused, and waits. Killing what has ended is no error.
func (p *Process) Kill() error {
	r := p.current()
	if r.ended() {
		return nil
	}
	if err := r.end(syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill %s: %w", p.cfg.Name, err)
	}
	<-r.done
	return nil
}

// Restart stops the process if it runs and starts it again.
func (p *Process) Restart(ctx context.Context) error {
	if err := p.Stop(); err != nil {
		return err
	}
	return p.Start(ctx)
}

// Pause halts the process group with SIGSTOP; connections to it stay open and unanswered.
func (p *Process) Pause() error { return signalGroup(p.PID(), syscall.SIGSTOP) }

// Resume lets a paused process group go on.
func (p *Process) Resume() error { return signalGroup(p.PID(), syscall.SIGCONT) }

// signalGroup signals all processes of a group; a group that is gone is no error.
func signalGroup(pid int, sig syscall.Signal) error {
	if err := syscall.Kill(-pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal process group %d: %w", pid, err)
	}
	return nil
}
