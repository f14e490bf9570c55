package store

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
)

// Unsubscribe is a recipient who wants no more mail of a site.
type Unsubscribe struct {
	// Sequence increases in the order in which they were found.
	Sequence     uint64    `ch:"sequence"`
	EventID      uuid.UUID `ch:"event_id"`
	RecipientKey uuid.UUID `ch:"recipient_key"`
	Cause        string    `ch:"cause"`
	Campaign     string    `ch:"campaign"`
	Message      string    `ch:"message"`
	OccurredAt   time.Time `ch:"occurred_at"`
	FoundAt      time.Time `ch:"found_at"`
}

// settledAfter is how old an unsubscribe must be to be listed: a replica may get what was found last in another order.
const settledAfter = "toIntervalSecond(5)"

// Unsubscribes returns those of a site behind a sequence, at most limit. They are written in the order of the sequence, and none is returned
// behind one that has not settled, so whoever follows it misses none.
func (s *Store) Unsubscribes(ctx context.Context, site string, after uint64, limit int) ([]Unsubscribe, error) {
	var all []Unsubscribe
	from := " FROM " + s.database + ".unsubscribes WHERE sequence > " + strconv.FormatUint(after, 10)
	err := s.conn.Select(ctx, &all, "SELECT "+strings.Join(clickhouseconn.Columns[Unsubscribe](), ", ")+from+" AND site_id = "+text(site)+
		" AND sequence < ifNull((SELECT minOrNull(sequence)"+from+" AND found_at > now64(3) - "+settledAfter+"), 18446744073709551615)"+
		" ORDER BY sequence LIMIT "+strconv.Itoa(limit))
	if err != nil {
		return nil, failed("list unsubscribes", err)
	}
	return all, nil
}
