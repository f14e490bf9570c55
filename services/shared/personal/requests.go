package personal

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/jobs"
)

// RequestStep is a step of a privacy request that is done; docs/adr/0008-erasure.md has the procedure.
type RequestStep = string

// The steps of an erasure in their order; of an access there are StepAsked and RequestDone.
const (
	// StepAsked: it is known.
	StepAsked RequestStep = "asked"
	// StepBlocked: the suppression list holds the people, whatever is received when.
	StepBlocked RequestStep = "blocked"
	// StepAcknowledged: every batch that was made with an older list is stored and final.
	StepAcknowledged RequestStep = "acknowledged"
	// StepFound: the rows are looked up and counted.
	StepFound RequestStep = "found"
	// StepCorrected: the sums are corrected.
	StepCorrected RequestStep = "corrected"
	// StepDeleted: the rows are deleted.
	StepDeleted RequestStep = "deleted"
	// StepProven: no table holds anything.
	StepProven RequestStep = "proven"
	// RequestDone: the suppression list holds the people for what was received until now.
	RequestDone RequestStep = "done"
)

// KindAccess is the kind of a request that only reads; the others are kinds of jobs.
const KindAccess = "access"

// Request is a privacy request and how far it has come: a row of privacy_requests.
type Request struct {
	ID                  uuid.UUID   `ch:"request_id"`
	Kind                string      `ch:"kind"`
	Step                RequestStep `ch:"step"`
	AskedBy             string      `ch:"asked_by"`
	AskedAt             time.Time   `ch:"asked_at"`
	VisitorIDs          uint32      `ch:"visitor_ids"`
	UserKeys            uint32      `ch:"user_keys"`
	RecipientKeys       uint32      `ch:"recipient_keys"`
	Round               uint32      `ch:"round"`
	SuppressionPosition int64       `ch:"suppression_position"`
	ErasedUntil         time.Time   `ch:"erased_until"`
	KafkaExpiresAt      time.Time   `ch:"kafka_expires_at"`
	SpoolExpiresAt      time.Time   `ch:"spool_expires_at"`
	DoneAt              time.Time   `ch:"done_at"`
}

// earliest is the moment of what has not happened.
var earliest = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)

// NewRequest returns a request of which nothing is done.
func NewRequest(id uuid.UUID, kind, askedBy string, askedAt time.Time, people jobs.People) Request {
	return Request{
		ID: id, Kind: kind, AskedBy: askedBy, AskedAt: askedAt,
		VisitorIDs: uint32(len(people.Visitors)), UserKeys: uint32(len(people.Users)), RecipientKeys: uint32(len(people.Recipients)), //nolint:gosec // at most jobs.MaxIDs
		ErasedUntil: earliest, KafkaExpiresAt: earliest, SpoolExpiresAt: earliest,
	}
}

// Requests reads and writes the log of privacy requests.
type Requests struct {
	conn     driver.Conn
	database string
}

// NewRequests returns the Requests of a database that the consumer's migrations have prepared.
func NewRequests(conn driver.Conn, database string) *Requests { return &Requests{conn, database} }

func once(ctx context.Context, token string) context.Context {
	return clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"async_insert": 0, "insert_deduplicate": 1, "insert_deduplication_token": token}))
}

// Save notes that a step is done. Repeated, it adds nothing.
func (q *Requests) Save(ctx context.Context, r *Request, step RequestStep, now time.Time) error {
	next := *r
	// Steps stand in their order, whatever the clock does.
	next.Step, next.DoneAt = step, now.UTC().Truncate(time.Millisecond)
	if !next.DoneAt.After(r.DoneAt) {
		next.DoneAt = r.DoneAt.Add(time.Millisecond)
	}
	err := q.append(once(ctx, fmt.Sprintf("request/%s/%d/%s", r.ID, r.Round, step)),
		"privacy_requests ("+strings.Join(clickhouseconn.Columns[Request](), ", ")+")", &next)
	if err == nil {
		*r = next
	}
	return err
}

// heldRow is a row of privacy_counts.
type heldRow struct {
	ID        uuid.UUID   `ch:"request_id"`
	Round     uint32      `ch:"round"`
	Step      RequestStep `ch:"step"`
	Table     string      `ch:"table_name"`
	Rows      uint64      `ch:"rows"`
	CountedAt time.Time   `ch:"counted_at"`
}

// SaveCounts notes how many rows each table held at a step. Repeated, it adds nothing.
func (q *Requests) SaveCounts(ctx context.Context, r *Request, step RequestStep, held []Held, now time.Time) error {
	rows := make([]any, len(held))
	for i, h := range held {
		rows[i] = &heldRow{ID: r.ID, Round: r.Round, Step: step, Table: h.Table, Rows: h.Rows, CountedAt: now.UTC()}
	}
	return q.append(once(ctx, fmt.Sprintf("counts/%s/%d/%s", r.ID, r.Round, step)), "privacy_counts ("+strings.Join(clickhouseconn.Columns[heldRow](), ", ")+")", rows...)
}

func (q *Requests) append(ctx context.Context, into string, rows ...any) error {
	batch, err := q.conn.PrepareBatch(ctx, "INSERT INTO "+q.database+"."+into)
	if err != nil {
		return fmt.Errorf("log privacy request: %w", err)
	}
	defer func() { _ = batch.Close() }()
	for _, row := range rows {
		if err := batch.AppendStruct(row); err != nil {
			return fmt.Errorf("log privacy request: %w", err)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("log privacy request: %w", err)
	}
	return nil
}

// Last returns the last step of a request; false when there is none of that id.
func (q *Requests) Last(ctx context.Context, id uuid.UUID) (Request, bool, error) {
	found, err := q.read(ctx, "WHERE request_id = ? ORDER BY done_at DESC, round DESC LIMIT 1", id)
	if err != nil || len(found) == 0 {
		return Request{}, false, err
	}
	return found[0], true, nil
}

// All returns the last step of each request, the latest request first.
func (q *Requests) All(ctx context.Context) ([]Request, error) {
	return q.read(ctx, "ORDER BY asked_at DESC, request_id, done_at DESC, round DESC LIMIT 1 BY request_id")
}

func (q *Requests) read(ctx context.Context, which string, args ...any) ([]Request, error) {
	var found []Request
	err := q.conn.Select(ctx, &found, "SELECT "+strings.Join(clickhouseconn.Columns[Request](), ", ")+" FROM "+q.database+".privacy_requests "+which, args...)
	if err != nil {
		return nil, fmt.Errorf("read privacy requests: %w", err)
	}
	return found, nil
}

// Counts returns the proof of a request: the rows of each table, before and after.
func (q *Requests) Counts(ctx context.Context, id uuid.UUID) (before, after []Held, err error) {
	for _, of := range []struct {
		step RequestStep
		into *[]Held
	}{{StepFound, &before}, {StepProven, &after}} {
		err := q.conn.Select(ctx, of.into, "SELECT table_name, argMax(privacy_counts.rows, round) AS rows FROM "+q.database+".privacy_counts "+
			"WHERE request_id = ? AND step = ? GROUP BY table_name ORDER BY table_name", id, of.step)
		if err != nil {
			return nil, nil, fmt.Errorf("read counts of a privacy request: %w", err)
		}
	}
	return before, after, nil
}

// Overdue is what retention has not removed yet.
type Overdue struct {
	Table  string     `ch:"table_name"`
	Rows   uint64     `ch:"rows"`
	Oldest *time.Time `ch:"oldest"`
}

// RetentionOverdue returns, for each table that holds rows, how many should be gone.
func (q *Requests) RetentionOverdue(ctx context.Context) ([]Overdue, error) {
	var all []Overdue
	if err := q.conn.Select(ctx, &all, "SELECT table_name, rows, oldest FROM "+q.database+".retention_overdue"); err != nil {
		return nil, fmt.Errorf("read retention: %w", err)
	}
	return all, nil
}
