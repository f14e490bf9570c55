//go:build integration

package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/jobs"
)

func TestAnErasureTakesWhatTheStreamHoldsOfThePersonAlone(t *testing.T) {
	d := migrated(t)
	rows := batch(0, 2)
	rows[0].VisitorID, rows[1].VisitorID = person("visitor", 1), person("visitor", 2)
	rows[1].UserKey = person("user", 2) // who is erased, and has used the second visitor's browser
	require.NoError(t, d.Insert(within(t), "a", rows))
	audiences := store.NewAudiences(d.conn, d.name)
	later := time.Now().Add(time.Hour).UTC()
	for i, visitor := range []uuid.UUID{person("visitor", 1), person("visitor", 2)} {
		require.NoError(t, audiences.AppendChanges(t.Context(), []store.Change{{
			Sequence: uint64(i + 1), ID: uuid.New(), Type: store.AudienceEntered, SiteID: "shop", Segment: "s", VisitorID: visitor,
			At: day, QualifiedAt: day, EndsAt: later, KeepUntil: later, ExpiresAt: later,
		}}))
		require.NoError(t, audiences.AddDues(t.Context(), []store.Due{{Due: later, SiteID: "shop", VisitorID: visitor, ExpiresAt: later}}))
	}
	require.NoError(t, audiences.ApplyChanges(t.Context(), 0, 2))

	people := jobs.People{Visitors: []uuid.UUID{person("visitor", 1)}, Users: []uuid.UUID{person("user", 2)}}
	erasure := store.NewErasure(store.NewRebuilds(d.conn, d.schema), uuid.New(), "")
	require.NoError(t, erasure.Find(t.Context(), people))
	require.NoError(t, erasure.Correct(t.Context(), 1))
	require.NoError(t, erasure.Delete(t.Context(), 1))
	counts, err := erasure.Count(t.Context())
	require.NoError(t, err)
	for _, held := range counts {
		require.Zero(t, held.Rows, held.Table)
	}
	require.NoError(t, erasure.Drop(t.Context()))
	for _, table := range []string{"audience_changes", "audience_states", "audience_dues"} {
		require.EqualValues(t, 0, d.number("SELECT count() FROM %s."+table+" WHERE visitor_id = '"+person("visitor", 1).String()+"'"), table)
		require.EqualValues(t, 1, d.number("SELECT count() FROM %s."+table+" WHERE visitor_id = '"+person("visitor", 2).String()+"'"), table)
	}
}
