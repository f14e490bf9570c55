package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/tools/internal/answers"
	"github.com/onepx/onepx/tools/internal/ledger"
	"github.com/onepx/onepx/tools/internal/load"
)

func TestMembersAreThoseWithSomethingInTheCartSinceTheyHaveBought(t *testing.T) {
	start := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	l, d := ledger.New(), database{}
	for i, name := range []string{"add_to_cart", "purchase", "add_to_cart", "add_to_cart"} {
		e := &answers.Event{ID: id(i), Name: name, URL: "https://shop.example/", Transport: answers.Pixel, Device: "phone", At: start.Add(time.Duration(i) * time.Minute)}
		e.Arrived = e.At
		l.Note(load.Result{ID: uuid.MustParse(e.ID), Event: e, Outcome: load.Stored})
		d.add("events", e.ID, "event")
	}
	site := answers.Site{Zone: time.UTC, Currency: "EUR"}
	wrong := func() int {
		facts, err := l.CompareFacts(t.Context(), d, "shop", site)
		require.NoError(t, err)
		return facts.Of(ledger.Members)
	}
	visitor := uuid.Nil.String()
	ends := start.Add(3*time.Minute + 30*24*time.Hour).UnixMilli()
	require.Equal(t, 1, wrong(), "nobody is in")
	d.add(ledger.Members, visitor, fmt.Sprintf("until %d, hits 2", ends))
	require.Zero(t, wrong())
	d.add(ledger.Members, uuid.Max.String(), fmt.Sprintf("until %d, hits 1", ends))
	require.Equal(t, 1, wrong(), "somebody is in who never came")
	d.change(ledger.Members, visitor, fmt.Sprintf("until %d, hits 3", ends))
	require.Equal(t, 2, wrong())
}
