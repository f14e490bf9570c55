package spool

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// maxGroup and maxGroupBytes bound what shares one fsync, so that the first of a group does not wait for a long write.
const (
	maxGroup      = 4096
	maxGroupBytes = 4 << 20
)

// pending is a record on its way to the disk.
type pending struct {
	frame     []byte
	spooledAt time.Time
	done      chan error // has room for the one answer
}

// writer writes the newest segment.
type writer struct {
	file    vfs.File
	records *record.Writer
}

// Append returns nil when the record is durable. Appends that wait at the same time share one fsync; one that begins after
// another has returned is behind it in the spool.
//
// It does not wait longer than ctx, even when the disk hangs; the record may come back from Next all the same.
func (s *Spool) Append(ctx context.Context, r Record) error {
	r.SpooledAt = s.cfg.Now()
	p := &pending{frame: frame(r), spooledAt: r.SpooledAt, done: make(chan error, 1)}
	select {
	case s.appends <- p:
	case <-s.closing:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("wait for the spool: %w", ctx.Err())
	}
	select {
	case err := <-p.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for the spool's disk: %w", ctx.Err())
	}
}

// run is the only goroutine that writes. It answers every record that it takes.
func (s *Spool) run() {
	defer close(s.done)
	defer s.seal()
	var group []*pending
	for {
		select {
		case p := <-s.appends:
			group = s.gather(append(group[:0], p))
			s.commit(group)
			clear(group)
		case sealed := <-s.seals:
			s.seal()
			close(sealed)
		case <-s.closing:
			return
		}
	}
}

// gather adds those that wait already. Nobody is waited for: while a group is being written, the next one gathers.
func (s *Spool) gather(group []*pending) []*pending {
	size := len(group[0].frame)
	for len(group) < maxGroup && size < maxGroupBytes {
		select {
		case p := <-s.appends:
			group = append(group, p)
			size += len(p.frame)
		default:
			return group
		}
	}
	return group
}

// commit makes a group durable, segment by segment, and answers.
func (s *Spool) commit(group []*pending) {
	for len(group) > 0 {
		n, err := s.commitSome(group)
		for _, p := range group[:n] {
			p.done <- err
		}
		group = group[n:]
	}
}

// commitSome deals with the first n of a group: what goes into one segment, or what meets the same error.
func (s *Spool) commitSome(group []*pending) (n int, err error) {
	room := s.Room()
	if framedBytes(len(group[0].frame)) > room {
		return 1, ErrFull
	}
	if s.writer != nil && s.writer.size() >= s.cfg.SegmentBytes {
		s.seal()
	}
	if s.writer == nil {
		if err := s.create(); err != nil {
			return len(group), fmt.Errorf("%w: %w", ErrDisk, err)
		}
	}
	before := s.writer.size()
	for _, p := range group {
		size := s.writer.size()
		if n > 0 && (size >= s.cfg.SegmentBytes || size-before+framedBytes(len(p.frame)) > room) {
			break
		}
		if err = s.writer.write(p.frame, s.next+uint64(n)); err != nil {
			break
		}
		n++
	}
	if err == nil {
		err = s.writer.sync()
	}
	if err != nil {
		// A file whose write or fsync failed is never written to again: the kernel may have dropped what it could not write
		// and call the next fsync a success.
		s.abandon()
		return len(group), fmt.Errorf("%w: %w", ErrDisk, err)
	}
	s.committed(group[:n], s.writer.size()-before)
	return n, nil
}

func (s *Spool) committed(group []*pending, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.front.number == s.next {
		s.oldest = group[0].spooledAt
	}
	s.next += uint64(len(group))
	s.bytes += size
	s.segments[len(s.segments)-1].size += size
	s.signal()
}

// signal wakes who waits for something to read.
func (s *Spool) signal() {
	select {
	case s.arrived <- struct{}{}:
	default:
	}
}

// create begins a segment.
func (s *Spool) create() error {
	seg := segment{first: s.next, acked: s.next}
	path := s.path(seg.name())
	file, err := s.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if err := s.dir.Sync(); err != nil {
		return errors.Join(err, file.Close(), s.fs.Remove(path))
	}
	s.writer = &writer{file: file, records: record.NewWriter(file)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segments = append(s.segments, seg)
	return nil
}

// seal ends the segment that is written to, so that it can be read. All of it is durable already.
func (s *Spool) seal() {
	if s.writer == nil {
		return
	}
	_ = s.writer.file.Close() // nothing is left to write
	s.writer = nil
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segments[len(s.segments)-1].end = s.next
}

// abandon ends a segment after an error. What was durable in it stays; what was refused is behind its end, so that it comes
// back only if the process ends before a next segment begins.
func (s *Spool) abandon() {
	info, statErr := s.writer.file.Stat()
	_ = s.writer.file.Close() // the error that brought us here says enough
	s.writer = nil
	s.mu.Lock()
	last := &s.segments[len(s.segments)-1]
	last.end = s.next // from here on it may be read, and removed
	path, empty := s.path(last.name()), last.first == last.end
	if empty {
		s.segments = s.segments[:len(s.segments)-1]
	} else if statErr == nil {
		s.bytes += info.Size() - last.size
		last.size = info.Size()
	}
	s.mu.Unlock()
	if empty {
		_ = s.fs.Remove(path) // if it stays it is replaced: the next segment has the same name
	}
}

func (w *writer) size() int64 { return w.records.Size() }

func (w *writer) write(frame []byte, number uint64) error {
	binary.BigEndian.PutUint64(frame, number)
	rec, err := w.records.Next()
	if err != nil {
		return err
	}
	_, err = rec.Write(frame)
	return err
}

// sync makes durable what was written.
func (w *writer) sync() error {
	if err := w.records.Flush(); err != nil {
		return err
	}
	return w.file.Sync()
}
