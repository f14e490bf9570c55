package spool_test

import (
	"errors"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/spool"
)

// full is a file system on which files take no more than room bytes together.
type full struct {
	vfs.FS
	room atomic.Int64
}

func (f *full) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, category)
	return fullFile{file, f}, err
}

func (f *full) Remove(name string) error {
	info, err := f.Stat(name)
	if err != nil {
		return err
	}
	f.room.Add(info.Size())
	return f.FS.Remove(name)
}

type fullFile struct {
	vfs.File
	full *full
}

func (f fullFile) Write(b []byte) (int, error) {
	if left := f.full.room.Add(-int64(len(b))); left < 0 {
		fits := max(0, int(left)+len(b))
		f.full.room.Add(int64(len(b) - fits))
		n, err := f.File.Write(b[:fits])
		return n, errors.Join(err, syscall.ENOSPC)
	}
	return f.File.Write(b)
}

func TestAFullDisk(t *testing.T) {
	inMemory := &full{FS: vfs.NewMem()}
	inMemory.room.Store(mib)
	var l lost
	cfgs := map[string]spool.Config{"that is an imitation": small(inMemory, &l)}
	if dir := t.TempDir(); syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m") == nil { // who may not mount has the other
		t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
		cfgs["of 1 MiB"] = onDisk(filepath.Join(dir, "spool"), &l)
	}
	for name, cfg := range cfgs {
		t.Run(name, func(t *testing.T) {
			s := open(t, cfg)
			stored := fill(t, s, 1, syscall.ENOSPC)
			require.Greater(t, stored, 200)
			require.ErrorIs(t, s.Append(t.Context(), numbered(7)), spool.ErrDisk)
			require.NoError(t, s.Close())

			s = open(t, cfg) // on a disk that is still full
			require.GreaterOrEqual(t, s.Len(), stored)
			got, ack := next(t, s)
			require.NoError(t, ack(), "acknowledging takes no room")
			got = append(got, drain(t, s)...)
			require.Equal(t, sequence(1, stored), got[:stored])
			appendAll(t, s, 1, 100)
			require.Equal(t, sequence(1, 100), drain(t, s))
			require.NoError(t, s.Close())
			require.Empty(t, l.losses)
		})
	}
}
