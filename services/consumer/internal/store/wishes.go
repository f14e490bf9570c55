package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
)

// Wish says whether a visitor wants to be in no audience.
type Wish struct {
	VisitorID uuid.UUID
	Wished    bool
}

// SaveWishes makes suppressed_visitors hold the wishes, under a position of the list that is behind those saved before, and
// returns the hashes of those who are wished out.
func (a *Audiences) SaveWishes(ctx context.Context, wishes []Wish, position int64) ([]uint64, error) {
	table, err := ext.NewTable(visitors, ext.Column("id", "UUID"), ext.Column("out", "Bool"))
	for _, w := range wishes {
		if err == nil {
			err = table.Append(w.VisitorID, w.Wished)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("send wishes: %w", err)
	}
	ctx = clickhouse.Context(ctx, clickhouse.WithExternalTable(table))
	err = a.conn.Exec(ctx, "INSERT INTO "+a.table("suppressed_visitors")+" (id_hash, wished, position, changed_at) "+
		"SELECT cityHash64(id), out, "+strconv.FormatInt(position, 10)+", now64(3) FROM "+visitors+" WHERE out != (cityHash64(id) IN ("+a.wishedOf(visitors)+"))")
	if err != nil {
		return nil, fmt.Errorf("save wishes: %w", err)
	}
	var hashes []uint64
	if err := a.conn.QueryRow(ctx, "SELECT groupArray(cityHash64(id)) FROM "+visitors+" WHERE out").Scan(&hashes); err != nil {
		return nil, fmt.Errorf("read hashes of visitors: %w", err)
	}
	return hashes, nil
}

// LastWish is the highest position in suppressed_visitors; -1 when it is empty.
func (a *Audiences) LastWish(ctx context.Context) (int64, error) {
	var last int64
	if err := a.conn.QueryRow(ctx, "SELECT if(count() = 0, -1, max(position)) FROM "+a.table("suppressed_visitors")).Scan(&last); err != nil {
		return 0, fmt.Errorf("read the position of wishes: %w", err)
	}
	return last, nil
}

// LiftOtherWishes takes back all wishes but those of some hashes, and returns their number.
func (a *Audiences) LiftOtherWishes(ctx context.Context, hold map[uint64]struct{}, position int64) (int, error) {
	rows, err := a.conn.Query(ctx, "SELECT id_hash FROM "+a.table("suppressed_visitors")+" FINAL WHERE wished")
	if err != nil {
		return 0, fmt.Errorf("read wishes: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var lifted []suppressedRow
	for rows.Next() {
		row := suppressedRow{Position: position, ChangedAt: time.Now().UTC()}
		if err := rows.Scan(&row.Hash); err != nil {
			return 0, fmt.Errorf("read wishes: %w", err)
		}
		if _, held := hold[row.Hash]; !held {
			lifted = append(lifted, row)
		}
	}
	if err := rows.Err(); err != nil {
		return 0, fmt.Errorf("read wishes: %w", err)
	}
	return len(lifted), insertRows(ctx, a, "suppressed_visitors", lifted)
}

// suppressedRow is a row of suppressed_visitors.
type suppressedRow struct {
	Hash      uint64    `ch:"id_hash"`
	Wished    bool      `ch:"wished"`
	Position  int64     `ch:"position"`
	ChangedAt time.Time `ch:"changed_at"`
}

// UserLink says that a visitor has given a user key.
type UserLink struct {
	VisitorID uuid.UUID `ch:"visitor_id"`
	UserKey   uuid.UUID `ch:"user_key"`
}

// LinksOf returns the links of visitors and of users, on all sites.
func (a *Audiences) LinksOf(ctx context.Context, visitorIDs, users []uuid.UUID) ([]UserLink, error) {
	var links []UserLink
	for column, ids := range map[string][]uuid.UUID{"visitor_id": visitorIDs, "user_key": users} {
		if len(ids) == 0 {
			continue
		}
		var some []UserLink
		err := a.selectAsked(ctx, ids, &some, "links of visitors and users", "SELECT DISTINCT", strings.Join(clickhouseconn.Columns[UserLink](), ", "), "FROM", a.table("identities"),
			"WHERE visitor_id != toUUID('00000000-0000-0000-0000-000000000000') AND", column, "IN (SELECT id FROM "+visitors+")")
		if err != nil {
			return nil, err
		}
		links = append(links, some...)
	}
	return links, nil
}
