package localstack

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"unsafe"

	"github.com/ebitengine/purego"
)

// chdbVersion is the version of the npm packages with libchdb; it holds ClickHouse 26.7.2.1.
const chdbVersion = "26.7.3-stable.1"

// chdbPackage is the npm package for one platform.
type chdbPackage struct {
	name string
	// integrity is the package's hash as npm writes it. Where it is empty nobody has tried the platform yet, and only
	// npm's own check against the registry protects the download.
	integrity string
}

// chdbPackages is by GOOS/GOARCH.
var chdbPackages = map[string]chdbPackage{
	"linux/amd64": {
		name:      "@chdb/lib-linux-x64-gnu",
		integrity: "sha512-XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw==",
	},
	"linux/arm64":  {name: "@chdb/lib-linux-arm64-gnu"},
	"darwin/amd64": {name: "@chdb/lib-darwin-x64"},
	"darwin/arm64": {name: "@chdb/lib-darwin-arm64"},
}

const libchdbFile = "libchdb.so"

// fetchLibchdb returns the path of libchdb.so in the cache.
func fetchLibchdb(ctx context.Context, progress io.Writer) (string, error) {
	platform := runtime.GOOS + "/" + runtime.GOARCH
	pkg, ok := chdbPackages[platform]
	if !ok {
		return "", fmt.Errorf("no libchdb for %s: install ClickHouse so that `clickhouse` is on PATH", platform)
	}
	dir, err := fetch(ctx, "libchdb-"+chdbVersion+"-"+runtime.GOARCH, func(ctx context.Context, dir string) error {
		if err := need(ctx, npm, progress); err != nil {
			return err
		}
		fmt.Fprintf(progress, "downloading %s %s (178 MB)\n", pkg.name, chdbVersion)
		return npmUnpack(ctx, pkg, dir)
	})
	return filepath.Join(dir, libchdbFile), err
}

// npmUnpack downloads the package and leaves libchdb.so alone in dir.
func npmUnpack(ctx context.Context, pkg chdbPackage, dir string) error {
	download := filepath.Join(dir, "npm")
	cmd := exec.CommandContext(ctx, "npm", "pack", pkg.name+"@"+chdbVersion,
		"--silent", "--pack-destination", dir, "--cache", download)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("npm pack %s: %w\n%s", pkg.name, err, out)
	}
	archives, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(archives) != 1 {
		return fmt.Errorf("npm pack %s left %d archives, want 1", pkg.name, len(archives))
	}
	if err := unpackLibchdb(archives[0], pkg.integrity, filepath.Join(dir, libchdbFile)); err != nil {
		return err
	}
	return errors.Join(os.Remove(archives[0]), os.RemoveAll(download))
}

// unpackLibchdb writes the library from the archive to target, and fails after that if the archive's hash is wrong.
func unpackLibchdb(archive, integrity, target string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	hash := sha512.New()
	raw := bufio.NewReaderSize(io.TeeReader(f, hash), 1<<20)
	zipped, err := gzip.NewReader(raw)
	if err != nil {
		return fmt.Errorf("unpack %s: %w", archive, err)
	}
	files := tar.NewReader(zipped)
	for found := false; !found; {
		header, err := files.Next()
		if err != nil {
			return fmt.Errorf("unpack %s: find %s: %w", archive, libchdbFile, err)
		}
		found = filepath.Base(header.Name) == libchdbFile
	}
	if err := writeFile(target, files); err != nil {
		return fmt.Errorf("unpack %s: %w", archive, err)
	}
	if _, err := io.Copy(io.Discard, raw); err != nil { // the rest counts for the hash
		return fmt.Errorf("unpack %s: %w", archive, err)
	}
	if sum := "sha512-" + base64.StdEncoding.EncodeToString(hash.Sum(nil)); integrity != "" && sum != integrity {
		return fmt.Errorf("%w: %s is %s, want %s", errWrongHash, filepath.Base(archive), sum, integrity)
	}
	return nil
}

func writeFile(name string, content io.Reader) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

// childCommand is the first argument that makes a program a ClickHouse server.
const childCommand = "clickhouse-server"

// runChildCalled is set by RunChild. A program that starts itself as ClickHouse without asking RunChild first would start
// itself without end, so StartClickHouse refuses.
var runChildCalled bool

// RunChild makes this process a ClickHouse server and does not return, if StartClickHouse started it as one; else it does
// nothing. Programs that start ClickHouse call it first.
func RunChild() {
	runChildCalled = true
	if len(os.Args) < 3 || os.Args[1] != childCommand {
		return
	}
	err := runLibchdb(os.Args[2], os.Args[3:])
	fmt.Fprintln(os.Stderr, "clickhouse-server:", err)
	os.Exit(1) //nolint:forbidigo // this process is the server and nothing else; there is nothing to stop
}

// runLibchdb loads the library and runs clickhouse-local in it until its queries end. It always returns an error, because
// the last query is endless: SIGTERM makes the library end it, and the starter does not look at the exit code then.
func runLibchdb(library string, args []string) error {
	signal.Ignore(syscall.SIGPIPE) // a client that leaves must not end the server
	handle, err := purego.Dlopen(library, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return fmt.Errorf("load %s: %w", library, err)
	}
	// struct local_result *chdb_query_cmdline(int argc, char **argv)
	var queryCmdline func(argc int32, argv unsafe.Pointer) uintptr
	purego.RegisterLibFunc(&queryCmdline, handle, "chdb_query_cmdline")

	args = append([]string{"clickhouse"}, args...)
	argv := make([]*byte, len(args)+1)
	var pin runtime.Pinner
	defer pin.Unpin()
	for i, arg := range args {
		text := append([]byte(arg), 0)
		argv[i] = &text[0]
		pin.Pin(argv[i])
	}
	queryCmdline(int32(len(args)), unsafe.Pointer(&argv[0]))
	return errors.New("the server's queries ended")
}
