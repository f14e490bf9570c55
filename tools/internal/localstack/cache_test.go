package localstack

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestTheCacheIsWhereTheEnvironmentSays(t *testing.T) {
	for name, c := range map[string]struct{ cache, xdg, want string }{
		"ONEPX_CACHE is taken as it is":         {"/a/b", "/c", "/a/b"},
		"XDG_CACHE_HOME is shared with others":  {"", "/c", "/c/onepx"},
		"without both it is in the home folder": {"", "", "/home/someone/.cache/onepx"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("ONEPX_CACHE", c.cache)
			t.Setenv("XDG_CACHE_HOME", c.xdg)
			t.Setenv("HOME", "/home/someone")
			dir, err := CacheDir()
			require.NoError(t, err)
			require.Equal(t, c.want, dir)
		})
	}
}

func TestOfManyWhoFetchTheSameOneDownloads(t *testing.T) {
	t.Setenv("ONEPX_CACHE", t.TempDir())
	var calls atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			dir, err := fetch(t.Context(), "thing", func(_ context.Context, dir string) error {
				calls.Add(1)
				return os.WriteFile(filepath.Join(dir, "file"), nil, 0o600)
			})
			if err != nil {
				t.Error(err)
			} else if _, err := os.Stat(filepath.Join(dir, "file")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, calls.Load())
}

func TestADownloadThatFailsIsRepeatedFromNothing(t *testing.T) {
	t.Setenv("ONEPX_CACHE", t.TempDir())
	require.NoError(t, os.MkdirAll(filepath.Join(os.Getenv("ONEPX_CACHE"), "thing.part", "of a killed process"), 0o755))
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		dir, err := fetch(t.Context(), "thing", func(_ context.Context, dir string) error {
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) > 0 {
				return errors.Join(errWrongHash, err)
			}
			if calls++; calls < 3 {
				return errors.Join(errors.New("connection reset"), os.WriteFile(filepath.Join(dir, "half"), nil, 0o600))
			}
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, 3, calls)
		require.DirExists(t, dir)
	})
}

func TestAFetchThatFailsLeavesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		tries int
	}{
		"what may get better is tried again":  {errors.New("connection reset"), fetchTries},
		"a wrong hash is not asked for again": {errWrongHash, 1},
		"nor is a missing program":            {errMissing, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("ONEPX_CACHE", t.TempDir())
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				_, err := fetch(t.Context(), "thing", func(context.Context, string) error { calls++; return c.err })
				require.ErrorIs(t, err, c.err)
				require.Equal(t, c.tries, calls)
				left, err := filepath.Glob(filepath.Join(os.Getenv("ONEPX_CACHE"), "*"))
				require.NoError(t, err)
				require.Equal(t, []string{filepath.Join(os.Getenv("ONEPX_CACHE"), "thing.lock")}, left)
			})
		})
	}
}

func TestTheLibraryIsTakenFromTheArchiveOnlyWithTheRightHash(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "lib.tgz")
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	files := tar.NewWriter(zipped)
	for name, text := range map[string]string{"package/package.json": "{}", "package/libchdb.so": "ELF"} {
		require.NoError(t, files.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}))
		_, err := files.Write([]byte(text))
		require.NoError(t, err)
	}
	require.NoError(t, errors.Join(files.Close(), zipped.Close(), os.WriteFile(archive, packed.Bytes(), 0o600)))
	sum := sha512.Sum512(packed.Bytes())
	target := filepath.Join(t.TempDir(), libchdbFile)

	require.NoError(t, unpackLibchdb(archive, "sha512-"+base64.StdEncoding.EncodeToString(sum[:]), target))
	text, err := os.ReadFile(target)
	require.NoError(t, err)
	require.Equal(t, "ELF", string(text))
	require.NoError(t, unpackLibchdb(archive, "", target), "a platform without a pinned hash")
	require.ErrorIs(t, unpackLibchdb(archive, "sha512-other", target), errWrongHash)
}

func TestAnArchiveWithoutTheLibraryIsAnError(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "lib.tgz")
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	require.NoError(t, errors.Join(tar.NewWriter(zipped).Close(), zipped.Close(), os.WriteFile(archive, packed.Bytes(), 0o600)))
	require.ErrorContains(t, unpackLibchdb(archive, "", archive+".so"), "find libchdb.so: EOF")
}

func TestJarsAreHashedByNameAndContent(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("b.jar", "2")
	write("a.jar", "1")
	write("pom.xml", "does not count")
	first, err := hashJars(dir)
	require.NoError(t, err)
	// printf 'a.jar %s\nb.jar %s\n' $(printf 1 | sha256sum | cut -c-64) $(printf 2 | sha256sum | cut -c-64) | sha256sum
	require.Equal(t, "c858c6850b57188dd555de9acbe6e8bf72e2d8fac139b349f44535ae4f532b39", first)
	write("b.jar", "3")
	second, err := hashJars(dir)
	require.NoError(t, err)
	require.NotEqual(t, first, second)
}
