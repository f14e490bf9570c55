package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"slices"
)

// diskAttempts is how often a part that the disk refuses to read is tried, one attempt a Next, before it counts as lost: a
// passing fault shall not cost what is still there, nor a bad sector stop the rest for ever.
const diskAttempts = 5

// position is a place in the front segment: the number of the next record, and an offset that is not behind it.
type position struct {
	number uint64
	offset int64
}

// batch is what was read from one segment.
type batch struct {
	segment    segment
	records    []Record
	from, next position
	lost       Loss
	// diskErr is why the disk could not read a part.
	diskErr error
}

// Next waits until there is something to read, and returns the first records in the order in which they were appended. Until
// ack has been called it returns them again.
//
// ack removes them durably. When it returns an error it has removed them all the same, only they may come back after a
// restart: so a disk that is full or read-only does not keep the spool from being emptied.
//
// An error that wraps ErrDisk is worth another try after a pause.
func (s *Spool) Next(ctx context.Context) (records []Record, ack func() error, err error) {
	for {
		seg, err := s.frontSegment(ctx)
		if err != nil {
			return nil, nil, err
		}
		b, err := s.readFront(seg)
		if err != nil {
			return nil, nil, err
		}
		if len(b.records) > 0 {
			return b.records, func() error { return s.acknowledge(b) }, nil
		}
		if err := s.acknowledge(b); err != nil { // all that was left of the segment is lost
			return nil, nil, err
		}
	}
}

// frontSegment waits for the first segment that has something to read, and ends it if it is still being written to.
func (s *Spool) frontSegment(ctx context.Context) (segment, error) {
	for {
		if err := s.wait(ctx); err != nil {
			return segment{}, err
		}
		s.mu.Lock()
		front := s.segments[0]
		s.mu.Unlock()
		if front.end != 0 {
			return front, nil
		}
		sealed := make(chan struct{})
		select {
		case s.seals <- sealed:
			<-sealed
		case <-s.closing:
			return segment{}, ErrClosed
		case <-ctx.Done():
			return segment{}, ctx.Err()
		}
	}
}

// wait returns when there is something to read.
func (s *Spool) wait(ctx context.Context) error {
	for s.Len() == 0 {
		select {
		case <-s.arrived:
		case <-s.closing:
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// readFront reads the first records of the first segment.
func (s *Spool) readFront(seg segment) (batch, error) {
	s.draining.Lock()
	defer s.draining.Unlock()
	s.mu.Lock()
	front := s.front
	s.mu.Unlock()
	b, err := s.read(seg, front, s.cfg.BatchRecords)
	if err != nil {
		return batch{}, fmt.Errorf("%w: read %s: %w", ErrDisk, seg.name(), err)
	}
	if b.diskErr == nil {
		s.diskErrors = 0
	} else if s.diskErrors++; s.diskErrors < diskAttempts {
		return batch{}, fmt.Errorf("%w: read %s: %w", ErrDisk, seg.name(), b.diskErr)
	}
	if len(b.records) > 0 {
		s.mu.Lock()
		s.oldest = b.records[0].SpooledAt
		s.mu.Unlock()
	}
	return b, nil
}

// read reads up to limit records of a segment that is no longer written to.
func (s *Spool) read(seg segment, from position, limit int) (batch, error) {
	b := batch{segment: seg, from: from, next: position{number: seg.end, offset: from.offset}, lost: Loss{Segment: seg.name()}}
	r, err := openReader(s.fs, s.path(seg.name()), from.offset)
	if errors.Is(err, iofs.ErrNotExist) { // somebody removed it
		b.lost.Records, b.lost.Cause = seg.end-from.number, fmt.Errorf("removed: %w", err) // without the stack that a log would print
		return b, nil
	} else if err != nil {
		return batch{}, err
	}
	defer r.Close()
	size, expected := 0, from.number
	for {
		frame, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		number, rec, err := unframe(frame)
		if number < expected || number >= seg.end {
			continue // acknowledged before; or refused, see abandon
		}
		if len(b.records) == limit || len(b.records) > 0 && size+len(frame) > s.cfg.BatchBytes {
			b.next.number = number
			break
		}
		if err != nil {
			b.lost.Cause = err
			continue // so its number is missing
		}
		b.records = append(b.records, rec)
		b.lost.Records += number - expected
		expected, size, b.next.offset = number+1, size+len(frame), r.end
	}
	b.lost.Records += b.next.number - expected
	b.diskErr = r.diskErr
	if r.damage != nil {
		b.lost.Cause = r.damage
	}
	return b, nil
}

// acknowledge removes what the batch holds from the spool.
func (s *Spool) acknowledge(b batch) error {
	s.draining.Lock()
	defer s.draining.Unlock()
	select {
	case <-s.closing:
		return ErrClosed
	default:
	}
	s.mu.Lock()
	again := s.front.number != b.from.number
	s.mu.Unlock()
	if again {
		return nil
	}
	finished := b.next.number == b.segment.end
	var err error
	if finished {
		b.next.offset = 0 // of the segment that follows
		err = s.remove(b.segment)
	} else {
		err = s.rename(b.segment, b.next.number)
	}
	s.mu.Lock()
	s.front = b.next
	if finished {
		s.segments = slices.Delete(s.segments, 0, 1)
	}
	s.mu.Unlock()
	if b.lost.Records > 0 {
		s.cfg.Lost(b.lost)
	}
	if err != nil {
		return fmt.Errorf("%w: acknowledge: %w", ErrDisk, err)
	}
	return nil
}

// remove removes the first segment's file. While that does not work, it takes its share of the quota.
func (s *Spool) remove(seg segment) error {
	if err := s.fs.Remove(s.path(seg.name())); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	s.mu.Lock()
	s.bytes -= seg.size
	s.mu.Unlock()
	return s.dir.Sync()
}

// rename writes into the first segment's name how far it is acknowledged.
func (s *Spool) rename(seg segment, acked uint64) error {
	old := s.path(seg.name())
	seg.acked = acked
	if err := s.fs.Rename(old, s.path(seg.name())); err != nil {
		return err
	}
	s.mu.Lock()
	s.segments[0].acked = acked
	s.mu.Unlock()
	return s.dir.Sync()
}
