package spool_test

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/spool"
)

func FuzzDecode(f *testing.F) {
	f.Add(spool.Encode(numbered(1)))
	f.Add(spool.Encode(spool.Record{}))
	f.Add([]byte{0x1a, 0x02, 0x0a, 0x05})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := spool.Decode(b)
		if err != nil {
			return
		}
		again, err := spool.Decode(spool.Encode(r))
		require.NoError(t, err)
		require.Equal(t, spool.Encode(r), spool.Encode(again))
	})
}

func FuzzEncode(f *testing.F) {
	f.Add([]byte("key"), []byte("value"), "header", []byte("its value"), int64(1_795_608_000_123))
	f.Add([]byte{}, []byte{}, "", []byte{}, int64(-1))
	f.Fuzz(func(t *testing.T, key, value []byte, header string, headerValue []byte, at int64) {
		want := spool.Record{Key: key, Value: value, Headers: []kafka.Header{{Key: header, Value: headerValue}}, SpooledAt: time.UnixMilli(at)}
		got, err := spool.Decode(spool.Encode(want))
		require.NoError(t, err)
		require.True(t, bytes.Equal(want.Key, got.Key))
		require.True(t, bytes.Equal(want.Value, got.Value))
		require.True(t, want.SpooledAt.Equal(got.SpooledAt))
		require.Len(t, got.Headers, 1)
		require.Equal(t, header, got.Headers[0].Key)
		require.True(t, bytes.Equal(headerValue, got.Headers[0].Value))
	})
}

// Whatever a file holds: the spool opens, is emptied, and takes new records.
func FuzzSegment(f *testing.F) {
	_, _, paths := stored(f, 20)
	whole, err := os.ReadFile(paths[0])
	require.NoError(f, err)
	f.Add(whole[:4096], 0, true)
	f.Add(whole[:4096], 33*kib, false)
	f.Add([]byte{}, 0, true)
	f.Fuzz(func(t *testing.T, data []byte, zeros int, newest bool) {
		var l lost
		cfg := small(vfs.NewMem(), &l)
		require.NoError(t, cfg.FS.MkdirAll(cfg.Dir, 0o700))
		put := func(first int, data []byte) {
			file, err := cfg.FS.Create(fmt.Sprintf("%s/%020d-%020[2]d.spool", cfg.Dir, first), vfs.WriteCategoryUnspecified)
			require.NoError(t, err)
			_, err = file.Write(data)
			require.NoError(t, err)
			require.NoError(t, file.Close())
		}
		put(1, append(make([]byte, max(0, min(zeros, 100*kib))), data...))
		if !newest {
			put(500, data)
		}
		s := open(t, cfg)
		require.NoError(t, s.Append(t.Context(), numbered(77)))
		var last spool.Record
		for s.Len() > 0 {
			records, ack, err := s.Next(t.Context())
			require.NoError(t, err)
			require.NoError(t, ack())
			last = records[len(records)-1]
		}
		n, err := number(last)
		require.NoError(t, err)
		require.Equal(t, 77, n)
		require.NoError(t, s.Close())
	})
}
