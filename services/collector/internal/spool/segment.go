package spool

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// blockBytes is the size of a block of package record's format, which is fixed: a chunk of a record never crosses a
	// block, so a reader can start at any of them, and damage costs no more than the blocks that it lies in.
	blockBytes = 32 << 10
	// chunkHeaderBytes is what each piece of a record costs in a block.
	chunkHeaderBytes = 7

	segmentSuffix = ".spool"
)

// segment is one file of the spool. Its name says what must survive: the number of its first record, and the number of its
// first record that Kafka has not acknowledged. A rename moves the second: it is atomic, and needs no room on a full disk.
type segment struct {
	first, acked uint64
	// end is the number behind the last record, known once the segment is no longer written to.
	end  uint64
	size int64
}

func (s segment) name() string { return fmt.Sprintf("%020d-%020d%s", s.first, s.acked, segmentSuffix) }

// parseSegment says whether name is that of a segment.
func parseSegment(name string) (segment, bool) {
	first, acked, _ := strings.Cut(strings.TrimSuffix(name, segmentSuffix), "-")
	var s segment
	var errFirst, errAcked error
	s.first, errFirst = strconv.ParseUint(first, 10, 64)
	s.acked, errAcked = strconv.ParseUint(acked, 10, 64)
	return s, errFirst == nil && errAcked == nil && s.name() == name
}

// listSegments returns the segments of dir in order, with their sizes but without their ends.
func listSegments(fs vfs.FS, dir string) ([]segment, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("list spool: %w", err)
	}
	slices.Sort(names)
	var segments []segment
	for _, name := range names {
		s, ok := parseSegment(name)
		if !ok {
			continue // the lock, or somebody's own
		}
		info, err := fs.Stat(fs.PathJoin(dir, name))
		if err != nil {
			return nil, fmt.Errorf("list spool: %w", err)
		}
		s.size = info.Size()
		segments = append(segments, s)
	}
	return segments, nil
}

// framedBytes is the most that a frame of n bytes takes in a segment.
func framedBytes(n int) int64 {
	return int64(n) + chunkHeaderBytes*int64(n/(blockBytes-chunkHeaderBytes)+2)
}

// reader reads the frames of one segment, and goes on behind what is damaged.
type reader struct {
	file vfs.File
	size int64
	// start is the block at which records began to read.
	start   int64
	records *record.Reader
	// end is the offset behind the last frame.
	end int64
	// damage is why something was skipped last; diskErr is set when that was the disk's word, not the checksum's.
	damage, diskErr error
}

// openReader starts at the block that holds offset: the first frames may lie before offset.
func openReader(fs vfs.FS, path string, offset int64) (*reader, error) {
	file, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	r := &reader{file: file, size: info.Size()}
	r.seek(offset / blockBytes)
	return r, nil
}

func (r *reader) Close() error { return r.file.Close() }

func (r *reader) seek(block int64) {
	r.start = block
	// The log number is for files that are used again, which these are not.
	r.records = record.NewReader(io.NewSectionReader(r.file, block*blockBytes, max(0, r.size-block*blockBytes)), 0)
}

// next returns the next readable frame, or io.EOF.
//
// Whatever stops package record, even what looks like the end, is tried again from the next block on until the file ends:
// damage may look like the end, and the end of what a crash cut off looks like damage. The caller tells them apart by the
// numbers of the records.
func (r *reader) next() ([]byte, error) {
	for r.start*blockBytes < r.size {
		frame, err := r.read()
		switch {
		case err == nil:
			r.end = r.start*blockBytes + r.records.Offset()
			return frame, nil
		case errors.Is(err, io.EOF):
		case errors.Is(err, record.ErrInvalidChunk), errors.Is(err, record.ErrZeroedChunk), errors.Is(err, record.ErrUnexpectedEOF):
			r.damage = fmt.Errorf("damaged behind byte %d: %w", r.end, err)
		default:
			r.damage = fmt.Errorf("unreadable behind byte %d: %w", r.end, err)
			r.diskErr = r.damage
		}
		r.seek(max(r.start, r.end/blockBytes) + 1)
	}
	return nil, io.EOF
}

func (r *reader) read() ([]byte, error) {
	rec, err := r.records.Next()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(rec)
}
