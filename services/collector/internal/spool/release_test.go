package spool_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

var release = flag.String("release", "", "write the spool of a new release under its number, such as v2; those of old ones are never written again")

// TestASpoolThatAnyReleaseLeftIsRead: testdata/released/vN is the folder of a spool whose collector of release N was killed with records
// 4 to 30 in it.
func TestASpoolThatAnyReleaseLeftIsRead(t *testing.T) {
	if *release != "" {
		leave(t, "testdata/released/"+*release)
	}
	folders, err := filepath.Glob("testdata/released/v*")
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.CopyFS(dir, os.DirFS(folder)))
			var l lost
			s := open(t, onDisk(dir, &l))
			require.Equal(t, sequence(4, 30), drain(t, s))
			require.Zero(t, l.records())
		})
	}
}

// leave fills a spool and copies its folder while it is open, as a kill would leave it.
func leave(t *testing.T, folder string) {
	t.Helper()
	var l lost
	cfg := onDisk(t.TempDir(), &l)
	cfg.BatchRecords = 3
	s := open(t, cfg)
	appendAll(t, s, 1, 30)
	_, ack := next(t, s)
	require.NoError(t, ack())
	require.NoError(t, os.CopyFS(folder, os.DirFS(cfg.Dir))) // files that are there it does not write again
}
