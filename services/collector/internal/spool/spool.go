// Package spool keeps events on the collector's disk while Kafka is away.
//
// It promises: a record whose Append returned nil survives kill -9 and power loss, and comes back from Next, in order, until
// it has been acknowledged; so at least once, and the consumer drops what comes twice by its event id. A spool that is full,
// or whose disk is, refuses new records and still gives back the old ones. What is damaged on disk costs the 32 KiB blocks it
// lies in, is counted to the record, and holds nothing up.
//
// The publish step appends what Kafka did not acknowledge in time (publish/fallback.go). One goroutine drains: Next, publish, ack
// (publish/replay.go).
//
// What happens to a record:
//
//	append.go   Append: encode → wait for the writer → a group is written, one fsync, everybody is answered
//	segment.go  the files, and how to read on behind damage
//	next.go     Next: the first records of the first segment → Kafka → ack: rename the segment, or remove it once it is empty
//
// The log format with its checksums, the file system and the lock are Pebble's packages record and vfs, which also bring the
// faults for the tests; docs/adr/0003-spool.md says why these. This package adds what they leave open: groups of appends,
// segments, quota, and the place up to which records are acknowledged.
//
// Records are numbered without gaps, so a gap is what was lost and nothing else has to be kept anywhere: the name of a
// segment is the number of its first record and that of its first record not acknowledged.
package spool

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Errors of Append and Next, to be told apart with errors.Is.
var (
	// ErrFull says that the record does not fit into the quota. It is not in the spool.
	ErrFull = errors.New("spool is full")
	// ErrDisk wraps what the disk said. The record may come back from Next all the same.
	ErrDisk = errors.New("spool disk")
	// ErrClosed says that Close was called. The record is not in the spool.
	ErrClosed = errors.New("spool is closed")
	// ErrInUse says that another spool, most likely of another process, has the directory open.
	ErrInUse = errors.New("spool directory is in use by another process")
)

const lockName = "LOCK"

// Config is what Open needs. All fields but Lost and FS are required.
type Config struct {
	// Dir is the spool's own directory. It is made if its parent is there; only one process can have it open.
	Dir string
	// QuotaBytes bounds the files' sizes together, at least twice SegmentBytes. A spool that holds more than its quota is
	// opened and emptied as any other, and takes nothing more until there is room.
	QuotaBytes int64
	// SegmentBytes is the size at which the next file begins. Disk space comes back one file at a time.
	SegmentBytes int64
	// BatchRecords and BatchBytes bound what Next returns. A record bigger than BatchBytes comes alone.
	BatchRecords, BatchBytes int
	// Now is the clock.
	Now func() time.Time
	// Lost is told of records that were durable and can't be read any more, once for each, when the spool goes on behind
	// them. It must not call the spool.
	Lost func(Loss)
	// FS is the file system, by default the machine's.
	FS vfs.FS
}

// Loss says what can't be read any more.
type Loss struct {
	// Records is how many.
	Records uint64
	// Segment is the name of the file in Config.Dir.
	Segment string
	// Cause is the error met last; nil when the file ended too early.
	Cause error
}

// Spool is the open spool. Append, Len, Bytes, Room and OldestAge may be called from anywhere at once, Next and the functions it
// returns from one goroutine.
type Spool struct {
	cfg  Config
	fs   vfs.FS
	dir  vfs.File
	lock io.Closer

	appends chan *pending
	seals   chan chan struct{}
	arrived chan struct{} // has room for one: there is something to read
	closing chan struct{}
	closed  sync.Once
	done    chan struct{} // the writer has ended

	writer *writer // the segment that is written to, if any; only the goroutine of run uses it

	// draining is held while the front is read or acknowledged, so that Close does not let go of the directory meanwhile.
	draining sync.Mutex
	// diskErrors counts the reads in a row in which the disk refused something; guarded by draining.
	diskErrors int

	mu sync.Mutex
	// segments are all files, the oldest first. While a segment is written to, it is the last and has no end.
	segments []segment
	// front is where the first segment is read on: front.number <= number of a record in the spool < next.
	front  position
	next   uint64
	bytes  int64
	oldest time.Time
}

// Open opens the spool in cfg.Dir with whatever an earlier process left there: everything whose Append returned nil and
// whose acknowledgment did not.
func Open(cfg Config) (*Spool, error) {
	switch {
	case cfg.SegmentBytes <= 0 || cfg.QuotaBytes < 2*cfg.SegmentBytes:
		return nil, fmt.Errorf("spool quota of %d bytes: must hold at least two segments of %d", cfg.QuotaBytes, cfg.SegmentBytes)
	case cfg.BatchRecords <= 0 || cfg.BatchBytes <= 0:
		return nil, fmt.Errorf("spool batches of %d records and %d bytes: must be positive", cfg.BatchRecords, cfg.BatchBytes)
	}
	if cfg.FS == nil {
		cfg.FS = vfs.Default
	}
	if cfg.Lost == nil {
		cfg.Lost = func(Loss) {}
	}
	s := &Spool{
		cfg: cfg, fs: cfg.FS,
		appends: make(chan *pending), seals: make(chan chan struct{}), arrived: make(chan struct{}, 1),
		closing: make(chan struct{}), done: make(chan struct{}),
	}
	if err := s.openDir(); err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, s.dir.Close(), s.lock.Close())
	}
	go s.run()
	return s, nil
}

// openDir makes the directory, opens it and takes its lock.
func (s *Spool) openDir() error {
	parent, err := s.fs.OpenDir(s.fs.PathDir(s.cfg.Dir)) // must be there: a volume that isn't mounted must not be made
	if err != nil {
		return fmt.Errorf("open parent of spool directory: %w", err)
	}
	if err := s.fs.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return errors.Join(fmt.Errorf("make spool directory: %w", err), parent.Close())
	}
	if err := errors.Join(parent.Sync(), parent.Close()); err != nil {
		return fmt.Errorf("sync parent of spool directory: %w", err)
	}
	if s.dir, err = s.fs.OpenDir(s.cfg.Dir); err != nil {
		return fmt.Errorf("open spool directory: %w", err)
	}
	if s.lock, err = s.fs.Lock(s.path(lockName)); err != nil {
		if pathErr := (*iofs.PathError)(nil); !errors.As(err, &pathErr) {
			err = fmt.Errorf("%w: %w", ErrInUse, err) // the file is there, but locked
		}
		return errors.Join(fmt.Errorf("lock spool directory %s: %w", s.cfg.Dir, err), s.dir.Close())
	}
	return nil
}

// load finds what is there, and removes what is done with.
func (s *Spool) load() error {
	found, err := listSegments(s.fs, s.cfg.Dir)
	if err != nil {
		return err
	}
	s.next = 1
	for i, seg := range found {
		if i+1 < len(found) {
			seg.end = found[i+1].first // the same number when a power failure undid half a rename: then nothing of it is left
		} else if seg.end, err = s.lastNumber(seg); err != nil {
			return err
		}
		if seg.acked >= seg.end {
			if err := s.fs.Remove(s.path(seg.name())); err != nil {
				return fmt.Errorf("remove emptied segment: %w", err)
			}
			continue
		}
		s.segments = append(s.segments, seg)
		s.bytes += seg.size
		s.next = seg.end
	}
	s.front.number = s.next
	if len(s.segments) > 0 {
		s.front.number = s.segments[0].acked
	}
	// Numbers may begin again at 1 now. If a power failure brought a removed segment back beside a new one, the numbers
	// between the two would look lost.
	if err := s.dir.Sync(); err != nil {
		return fmt.Errorf("sync spool directory: %w", err)
	}
	s.oldest = s.oldestSpooledAt()
	return nil
}

// lastNumber returns the number behind the last readable record of a segment.
func (s *Spool) lastNumber(seg segment) (uint64, error) {
	r, err := openReader(s.fs, s.path(seg.name()), 0)
	if err != nil {
		return 0, fmt.Errorf("read newest segment: %w", err)
	}
	defer r.Close()
	end := seg.first
	for {
		frame, err := r.next()
		if errors.Is(err, io.EOF) {
			return end, r.diskErr // a number must not be given twice: what could not be read now may be readable later
		}
		number, _, _ := unframe(frame) // a newer version's record has its number in the same place
		end = max(end, number+1)
	}
}

// oldestSpooledAt is when the first record that can be read was spooled; now, if there is none.
func (s *Spool) oldestSpooledAt() time.Time {
	for _, seg := range s.segments {
		if b, err := s.read(seg, position{number: seg.acked}, 1); err == nil && len(b.records) > 0 {
			return b.records[0].SpooledAt
		}
	}
	return s.cfg.Now()
}

func (s *Spool) path(name string) string { return s.fs.PathJoin(s.cfg.Dir, name) }

// Len is the number of records that are not acknowledged, lost ones included until Config.Lost is told of them.
func (s *Spool) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.next - s.front.number) //nolint:gosec // bounded by the quota
}

// Bytes is how much of the quota is taken.
func (s *Spool) Bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

// Room is how much of the quota is left; negative if the spool holds more than it.
func (s *Spool) Room() int64 { return s.cfg.QuotaBytes - s.Bytes() }

// OldestAge is how long the first record has been waiting, 0 when there is none.
func (s *Spool) OldestAge() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.front.number == s.next {
		return 0
	}
	return max(0, s.cfg.Now().Sub(s.oldest))
}

// Close waits for the Appends that are being written, lets no more in and gives the directory free. What is in the spool
// stays there.
func (s *Spool) Close() error {
	var err error
	s.closed.Do(func() {
		close(s.closing)
		<-s.done
		s.draining.Lock()
		defer s.draining.Unlock()
		err = errors.Join(s.dir.Close(), s.lock.Close())
	})
	return err
}
