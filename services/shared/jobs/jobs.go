// Package jobs is what the topic onepx.jobs holds: work that changes stored data, or reads much of it. Whoever wants it done
// writes a Job; `consumer jobs`, and nobody else, does it.
//
// Record: key = the job's id, 16 bytes; value = JSON. The topic has one partition, so jobs are done one after the other.
package jobs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/shared/suppression"
)

// Kind says what is to be done.
type Kind string

// The kinds of jobs.
const (
	// Erase removes everything stored about people.
	Erase Kind = "erase"
	// Access notes that what is stored about people is handed out.
	Access Kind = "access"
	// Export writes members of an audience to files.
	Export Kind = "export"
)

// MaxIDs is the largest number of ids in a job: its record stays well below what Kafka takes.
const MaxIDs = 10_000

// maxAskedBy is the largest number of characters of Job.AskedBy.
const maxAskedBy = 128

// ErrInvalid says that something is no job that can be done.
var ErrInvalid = errors.New("invalid job")

// Job is one piece of work.
type Job struct {
	ID   uuid.UUID `json:"id"`
	Kind Kind      `json:"kind"`
	// Site is the only site whose rows the job may touch; "" for all.
	Site string `json:"site,omitempty"`
	// AskedBy is who answers for the job: an operator, a ticket. It is kept for ever; not the person whom the job is about.
	AskedBy string    `json:"asked_by"`
	AskedAt time.Time `json:"asked_at"`
	// People are those whom an Erase or Access is about.
	People People `json:"people,omitzero"`
	// List is what an Export writes.
	List *List `json:"list,omitempty"`
}

// People are known by ids as they stand in rows, of any site.
type People struct {
	Visitors   []uuid.UUID `json:"visitors,omitempty"`
	Users      []uuid.UUID `json:"users,omitempty"`
	Recipients []uuid.UUID `json:"recipients,omitempty"`
}

// Len is the number of ids.
func (p People) Len() int { return len(p.Visitors) + len(p.Users) + len(p.Recipients) }

// Each calls do for every id with its kind.
func (p People) Each(do func(suppression.Kind, uuid.UUID)) {
	for _, of := range []struct {
		kind suppression.Kind
		ids  []uuid.UUID
	}{{suppression.Visitor, p.Visitors}, {suppression.User, p.Users}, {suppression.Recipient, p.Recipients}} {
		for _, id := range of.ids {
			do(of.kind, id)
		}
	}
}

// Add adds an id unless it is there.
func (p *People) Add(kind suppression.Kind, id uuid.UUID) {
	known := false
	p.Each(func(k suppression.Kind, other uuid.UUID) { known = known || k == kind && other == id })
	if !known {
		p.Append(kind, id)
	}
}

// Append adds an id that is not there, which the caller knows: for many, Add would take long.
func (p *People) Append(kind suppression.Kind, id uuid.UUID) {
	switch kind {
	case suppression.Visitor:
		p.Visitors = append(p.Visitors, id)
	case suppression.User:
		p.Users = append(p.Users, id)
	case suppression.Recipient:
		p.Recipients = append(p.Recipients, id)
	}
}

// Validate checks that there are 1 to MaxIDs ids, and that each is somebody's: all who are nobody have the one of zeros.
func (p People) Validate() error {
	if n := p.Len(); n == 0 || n > MaxIDs {
		return fmt.Errorf("there are %d ids; allowed are 1 to %d", n, MaxIDs)
	}
	nobody := false
	p.Each(func(_ suppression.Kind, id uuid.UUID) { nobody = nobody || id == uuid.Nil })
	if nobody {
		return errors.New("an id of zeros is nobody's")
	}
	return nil
}

// Validate checks bounds; the error wraps ErrInvalid.
func (j Job) Validate() error {
	var errs []error
	refuse := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	refuse(j.ID == uuid.Nil, "id is missing")
	refuse(strings.TrimSpace(j.AskedBy) == "" || utf8.RuneCountInString(j.AskedBy) > maxAskedBy, "asked_by must have 1 to %d characters", maxAskedBy)
	refuse(j.AskedAt.IsZero(), "asked_at is missing")
	switch j.Kind {
	case Erase, Access:
		errs = append(errs, j.People.Validate())
		refuse(j.List != nil, "a list is of an export only")
	case Export:
		refuse(j.People.Len() > 0, "an export is not about people of given ids")
		refuse(!name.MatchString(j.Site), "site is none")
		errs = append(errs, j.List.Validate())
	default:
		refuse(true, "kind %q is unknown", j.Kind)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// Message is the record of a valid job.
func (j Job) Message() (kafka.Message, error) {
	if err := j.Validate(); err != nil {
		return kafka.Message{}, err
	}
	value, err := json.Marshal(j)
	return kafka.Message{Key: j.ID[:], Value: value, Time: j.AskedAt}, err
}

// Parse reads the value of a record. The error wraps ErrInvalid and holds no ids.
func Parse(value []byte) (Job, error) {
	var j Job
	decoder := json.NewDecoder(bytes.NewReader(value))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&j); err != nil || decoder.More() {
		return Job{}, fmt.Errorf("%w: no JSON of a job", ErrInvalid)
	}
	return j, j.Validate()
}
