package localstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/gofrs/flock"
)

// CacheDir returns where downloads are kept: $ONEPX_CACHE, else onepx under $XDG_CACHE_HOME, else ~/.cache/onepx.
func CacheDir() (string, error) {
	if dir := os.Getenv("ONEPX_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "onepx"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("cache directory (ONEPX_CACHE sets it): %w", err)
	}
	return filepath.Join(home, ".cache", "onepx"), nil
}

// Fetch downloads what StartKafka and StartClickHouse need, unless the cache has it. Progress is for people.
func Fetch(ctx context.Context, progress io.Writer) error {
	_, errKafka := fetchKafka(ctx, progress)
	_, errClickHouse := findClickHouse(ctx, progress)
	return errors.Join(errKafka, errClickHouse)
}

// errWrongHash marks a download whose content is not what the code pins; asking again would not help.
var errWrongHash = errors.New("hash differs from the pinned one")

// fetchTries bounds attempts at a download.
const fetchTries = 4

// fetch returns the cache's directory called name. If it is not there, fill is called with an empty directory, repeated
// on errors, and the directory gets its name when fill is content: half a download is never seen, and of several
// processes one downloads while the others wait.
func fetch(ctx context.Context, name string, fill func(ctx context.Context, dir string) error) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	target := filepath.Join(cache, name)
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("fetch %s: %w", name, err)
	}
	lock := flock.New(target + ".lock")
	if _, err := lock.TryLockContext(ctx, 100*time.Millisecond); err != nil {
		return "", fmt.Errorf("fetch %s: wait for %s: %w", name, lock.Path(), err)
	}
	defer lock.Close()
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	part := target + ".part" // may be left from a process that was killed: the lock is ours now
	_, err = backoff.Retry(ctx, func() (struct{}, error) {
		return struct{}{}, errors.Join(os.RemoveAll(part), os.Mkdir(part, 0o755), permanent(fill(ctx, part)))
	}, backoff.WithMaxTries(fetchTries))
	if err == nil {
		err = os.Rename(part, target)
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("fetch %s into %s: %w", name, cache, err), os.RemoveAll(part))
	}
	return target, nil
}

// permanent keeps backoff from repeating what cannot get better.
func permanent(err error) error {
	if errors.Is(err, errWrongHash) || errors.Is(err, errMissing) {
		return backoff.Permanent(err)
	}
	return err
}
