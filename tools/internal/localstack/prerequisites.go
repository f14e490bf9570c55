package localstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// program is something that must be installed on the machine.
type program struct {
	command string
	deb     string // Debian package
	brew    string // Homebrew formula, for the advice on macOS
	// usable says whether what is installed will do; nil means any will.
	usable func(ctx context.Context) error
}

var (
	java = program{command: "java", deb: "default-jre-headless", brew: "openjdk", usable: javaVersion}
	mvn  = program{command: "mvn", deb: "maven", brew: "maven"}
	npm  = program{command: "npm", deb: "npm", brew: "node"}
)

// errMissing marks a program that is not there.
var errMissing = errors.New("missing program")

// need makes sure that a program is there. On Debian as root it installs it; elsewhere the error has the command that does.
func need(ctx context.Context, p program, progress io.Writer) error {
	problem := p.check(ctx)
	if problem == nil {
		return nil
	}
	if canInstall() {
		fmt.Fprintf(progress, "%v: installing the Debian package %s\n", problem, p.deb)
		if err := aptInstall(ctx, p.deb); err != nil {
			return fmt.Errorf("%w: %w: %w", errMissing, problem, err)
		}
		problem = p.check(ctx)
	}
	if problem != nil {
		return fmt.Errorf("%w: %w; install it: %s", errMissing, problem, p.advice())
	}
	return nil
}

func (p program) check(ctx context.Context) error {
	if _, err := exec.LookPath(p.command); err != nil {
		return fmt.Errorf("%s is not on PATH", p.command)
	}
	if p.usable == nil {
		return nil
	}
	return p.usable(ctx)
}

func (p program) advice() string {
	if runtime.GOOS == "darwin" {
		return "brew install " + p.brew
	}
	return "sudo apt-get install " + p.deb
}

// canInstall tells whether this is Debian (or a child of it) and we are root.
func canInstall() bool {
	_, errDebian := os.Stat("/etc/debian_version")
	_, errApt := exec.LookPath("apt-get")
	return errDebian == nil && errApt == nil && os.Geteuid() == 0
}

// aptInstall refreshes the package lists, which images often come without, and installs.
func aptInstall(ctx context.Context, deb string) error {
	for _, args := range [][]string{
		{"update", "-q"},
		{"install", "-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", deb},
	} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

// minJava is the oldest Java that runs Kafka 4.
const minJava = 17

var javaVersionText = regexp.MustCompile(`version "(\d+)`)

// javaVersion says whether java on PATH is new enough.
func javaVersion(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "java", "-version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("java -version: %w\n%s", err, out)
	}
	return parseJavaVersion(string(out))
}

// parseJavaVersion reads what `java -version` prints; "1.8.0_1" counts as 1, which is too old all the same.
func parseJavaVersion(out string) error {
	m := javaVersionText.FindStringSubmatch(out)
	if m == nil {
		return fmt.Errorf("java -version prints no version: %q", out)
	}
	if major, err := strconv.Atoi(m[1]); err != nil || major < minJava {
		return fmt.Errorf("java is version %s, Kafka needs %d or newer", m[1], minJava)
	}
	return nil
}
