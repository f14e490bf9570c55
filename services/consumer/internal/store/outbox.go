package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
)

// The types of changes.
const (
	AudienceEntered = "audience_entered"
	AudienceLeft    = "audience_left"
)

// Change is a row of audience_changes: a visitor has entered or left a segment.
type Change struct {
	Sequence    uint64    `ch:"sequence"`
	ID          uuid.UUID `ch:"change_id"`
	Type        string    `ch:"type"`
	SiteID      string    `ch:"site_id"`
	Segment     string    `ch:"segment"`
	Version     string    `ch:"version"`
	VisitorID   uuid.UUID `ch:"visitor_id"`
	At          time.Time `ch:"at"`
	QualifiedAt time.Time `ch:"qualified_at"`
	EndsAt      time.Time `ch:"ends_at"`
	Products    []string  `ch:"products"`
	Reason      string    `ch:"reason"`
	KeepUntil   time.Time `ch:"keep_until"`
	ExpiresAt   time.Time `ch:"expires_at"`
}

var changeColumns = strings.Join(clickhouseconn.Columns[Change](), ", ")

// AppendChanges adds changes to the outbox, whole or not at all. After an error they may be there, or come later.
func (a *Audiences) AppendChanges(ctx context.Context, changes []Change) error {
	return insertRows(ctx, a, "audience_changes", changes)
}

// ApplyChanges makes the states that follow from the changes behind a sequence, up to another one. It can be repeated.
func (a *Audiences) ApplyChanges(ctx context.Context, after, last uint64) error {
	err := a.conn.Exec(ctx, "INSERT INTO "+a.table("audience_states")+" (site_id, visitor_id, segment, member, version, qualified_at, ends_at, change_id, changed_at, sequence, expires_at) "+
		"SELECT site_id, visitor_id, segment, type = '"+AudienceEntered+"', version, qualified_at, ends_at, change_id, at, sequence, keep_until "+
		"FROM "+a.table("audience_changes")+" WHERE sequence > ? AND sequence <= ? ORDER BY sequence", after, last)
	if err != nil {
		return fmt.Errorf("apply audience changes: %w", err)
	}
	return nil
}

// LastSequence is the highest one in the outbox; 0 when it is empty.
func (a *Audiences) LastSequence(ctx context.Context) (uint64, error) {
	var last uint64
	if err := a.conn.QueryRow(ctx, "SELECT max(sequence) FROM "+a.table("audience_changes")).Scan(&last); err != nil {
		return 0, fmt.Errorf("read the end of audience changes: %w", err)
	}
	return last, nil
}

// Changes returns changes behind a sequence in their order, at most limit; of one site, or of all for "".
func (a *Audiences) Changes(ctx context.Context, site string, after, last uint64, limit int) ([]Change, error) {
	var all []Change
	err := a.conn.Select(ctx, &all, "SELECT "+changeColumns+" FROM "+a.table("audience_changes")+
		" WHERE sequence > ? AND sequence <= ? AND (? = '' OR site_id = ?) ORDER BY sequence, change_id LIMIT ?", after, last, site, site, limit)
	if err != nil {
		return nil, fmt.Errorf("read audience changes: %w", err)
	}
	return all, nil
}

// StreamPosition is how far a reader has come: a row of audience_positions.
type StreamPosition struct {
	Name      string    `ch:"name"`
	Partition int32     `ch:"partition"`
	Position  int64     `ch:"position"`
	Cursor    string    `ch:"cursor"`
	SavedAt   time.Time `ch:"saved_at"`
	Revision  uint64    `ch:"revision"`
}

// Positions returns all positions.
func (a *Audiences) Positions(ctx context.Context) ([]StreamPosition, error) {
	var all []StreamPosition
	err := a.conn.Select(ctx, &all, "SELECT "+strings.Join(clickhouseconn.Columns[StreamPosition](), ", ")+" FROM "+a.table("audience_positions")+" FINAL ORDER BY name, partition")
	if err != nil {
		return nil, fmt.Errorf("read positions of the audience stream: %w", err)
	}
	return all, nil
}

// Move keeps a position that has been read and no one else moves.
func (a *Audiences) Move(ctx context.Context, p *StreamPosition, position int64, cursor string) error {
	p.Position, p.Cursor, p.SavedAt = position, cursor, time.Now().UTC()
	p.Revision++
	return a.SavePositions(ctx, []StreamPosition{*p})
}

// SavePositions keeps positions; the one with the highest revision holds.
func (a *Audiences) SavePositions(ctx context.Context, positions []StreamPosition) error {
	return insertRows(ctx, a, "audience_positions", positions)
}

// Due says that a visitor must be looked at, at a moment.
type Due struct {
	Due       time.Time `ch:"due"`
	SiteID    string    `ch:"site_id"`
	VisitorID uuid.UUID `ch:"visitor_id"`
	ExpiresAt time.Time `ch:"expires_at"`
}

// AddDues adds to what is due.
func (a *Audiences) AddDues(ctx context.Context, dues []Due) error {
	return insertRows(ctx, a, "audience_dues", dues)
}

// Dues returns what is due behind one of them, up to a moment, in their order, at most limit.
func (a *Audiences) Dues(ctx context.Context, behind Due, until time.Time, limit int) ([]Due, error) {
	var all []Due
	err := a.conn.Select(ctx, &all, "SELECT DISTINCT due, site_id, visitor_id FROM "+a.table("audience_dues")+
		" WHERE due >= "+moment(behind.Due)+" AND due <= "+moment(until)+" AND (due, site_id, visitor_id) > ("+moment(behind.Due)+", ?, toUUID(?)) "+
		"ORDER BY due, site_id, visitor_id LIMIT ?", behind.SiteID, behind.VisitorID.String(), limit)
	if err != nil {
		return nil, fmt.Errorf("read what is due: %w", err)
	}
	return all, nil
}

// insertRows inserts rows as one block.
func insertRows[R any](ctx context.Context, a *Audiences, table string, rows []R) (err error) {
	if len(rows) == 0 {
		return nil
	}
	batch, err := a.conn.PrepareBatch(ctx, "INSERT INTO "+a.table(table)+" ("+strings.Join(clickhouseconn.Columns[R](), ", ")+")")
	if err == nil {
		defer func() { _ = batch.Close() }()
		for i := range rows {
			err = errors.Join(err, batch.AppendStruct(&rows[i]))
		}
		if err == nil {
			err = batch.Send()
		}
	}
	if err != nil {
		return fmt.Errorf("insert into %s: %w", table, err)
	}
	return nil
}
