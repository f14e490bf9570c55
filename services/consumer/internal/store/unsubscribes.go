package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
)

// Unsubscribes are the recipients who want no more mail: they are found in events, stand in the table unsubscribes and are told
// from there. Positions stand beside those of the audience stream.
type Unsubscribes struct{ *Audiences }

// The causes of unsubscribes.
const (
	CauseUnsubscribed = "unsubscribed"
	// CauseComplained: the recipient has reported a mail as spam.
	CauseComplained = "complained"
)

// Unsubscribe is a row of unsubscribes.
type Unsubscribe struct {
	Sequence     uint64    `ch:"sequence"`
	EventID      uuid.UUID `ch:"event_id"`
	SiteID       string    `ch:"site_id"`
	RecipientKey uuid.UUID `ch:"recipient_key"`
	Cause        string    `ch:"cause"`
	Campaign     string    `ch:"campaign"`
	Message      string    `ch:"message"`
	OccurredAt   time.Time `ch:"occurred_at"`
	FoundAt      time.Time `ch:"found_at"`
	Topic        string    `ch:"kafka_topic"`
	Partition    int32     `ch:"kafka_partition"`
	Offset       int64     `ch:"kafka_offset"`
	ExpiresAt    time.Time `ch:"expires_at"`
}

var unsubscribeColumns = strings.Join(clickhouseconn.Columns[Unsubscribe](), ", ")

// Replayed returns the blocks of rows that replays have stored since the moment.
func (u Unsubscribes) Replayed(ctx context.Context, since time.Time) (blocks []Replay, err error) {
	err = u.conn.Select(ctx, &blocks, "SELECT "+strings.Join(clickhouseconn.Columns[Replay](), ", ")+" FROM "+u.table("replays")+" FINAL WHERE done = 1 AND saved_at >= toDateTime64(?, 3, 'UTC') ORDER BY saved_at",
		instantText(since))
	if err != nil {
		return nil, fmt.Errorf("read replays: %w", err)
	}
	return blocks, nil
}

// In returns the unsubscribes of events in a range of stored offsets that are not noted yet, in their order and without sequence, and the day of
// the last batch in it; no batch of the range is of an earlier day than the one given.
func (u Unsubscribes) In(ctx context.Context, r Range, day time.Time) (found []Unsubscribe, last time.Time, err error) {
	rows, last, err := u.eventsIn(ctx, r, day)
	if err != nil {
		return nil, day, err
	}
	noted := fmt.Sprintf("SELECT kafka_offset FROM %s WHERE kafka_topic = %s AND kafka_partition = %d AND kafka_offset BETWEEN %d AND %d", u.table("unsubscribes"), clickhouseconn.Literal(r.Topic), r.ID, r.First, r.Last)
	err = u.conn.Select(ctx, &found, "SELECT event_id, site_id, recipient_key, if(name = 'email_complained', '"+CauseComplained+"', '"+CauseUnsubscribed+"') AS cause, mail_campaign_id AS campaign, mail_message_id AS message, "+
		"occurred_at, kafka_topic, kafka_partition, kafka_offset, toDateTime(declared_at) + toIntervalDay(retention_days) AS expires_at"+rows+
		" AND outcome = 'event' AND (kind = 'email_unsubscribe' OR kind = 'email_delivery' AND name = 'email_complained') AND recipient_key != toUUID('00000000-0000-0000-0000-000000000000') AND kafka_offset NOT IN ("+noted+") ORDER BY kafka_offset")
	if err != nil {
		return nil, day, fmt.Errorf("read unsubscribes of events: %w", err)
	}
	return found, last, nil
}

// Append notes unsubscribes, whole or not at all. After an error they may be there, or come later.
func (u Unsubscribes) Append(ctx context.Context, found []Unsubscribe) error {
	return insertRows(ctx, u.Audiences, "unsubscribes", found)
}

// LastSequence is the highest one that is noted; 0 when there is none.
func (u Unsubscribes) LastSequence(ctx context.Context) (last uint64, err error) {
	if err := u.conn.QueryRow(ctx, "SELECT max(sequence) FROM "+u.table("unsubscribes")).Scan(&last); err != nil {
		return 0, fmt.Errorf("read the end of unsubscribes: %w", err)
	}
	return last, nil
}

// Noted returns unsubscribes behind a sequence up to another one in their order, at most limit; of one site, or of all for "".
func (u Unsubscribes) Noted(ctx context.Context, site string, after, last uint64, limit int) (all []Unsubscribe, err error) {
	err = u.conn.Select(ctx, &all, "SELECT "+unsubscribeColumns+" FROM "+u.table("unsubscribes")+
		" WHERE sequence > ? AND sequence <= ? AND (? = '' OR site_id = ?) ORDER BY sequence LIMIT ?", after, last, site, site, limit)
	if err != nil {
		return nil, fmt.Errorf("read unsubscribes: %w", err)
	}
	return all, nil
}
