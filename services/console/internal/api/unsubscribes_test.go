package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/console/internal/store"
	"github.com/onepx/onepx/services/shared/suppression"
)

type unsubscribesPage struct {
	Unsubscribes []struct {
		ID           string
		RecipientKey string `json:"recipient_key"`
		Cause        string
		At           time.Time
	}
	Next string
	More bool
}

func TestWhoFollowsTheCursorGetsEachUnsubscribeOnce(t *testing.T) {
	w := newWorld(t)
	add := func(sequence uint64) {
		w.unsubscribes = append(w.unsubscribes, store.Unsubscribe{Sequence: sequence, EventID: visitor(int(sequence)), RecipientKey: visitor(100), Cause: "complained", OccurredAt: now})
	}
	var seen []string
	next := ""
	follow := func() unsubscribesPage {
		t.Helper()
		var page unsubscribesPage
		answer := w.get(shopKey, "/v1/mail/unsubscribes?limit=2&cursor="+next)
		answer.into(t, &page)
		require.Equal(t, "no-store", answer.header.Get("Cache-Control"))
		require.NotNil(t, page.Unsubscribes)
		next = page.Next
		for _, u := range page.Unsubscribes {
			seen = append(seen, u.ID)
			require.Equal(t, visitor(100).String()+" complained", u.RecipientKey+" "+u.Cause)
			require.Equal(t, now, u.At)
		}
		return page
	}
	require.False(t, follow().More)
	require.Empty(t, seen)
	for _, n := range []uint64{3, 4, 9} {
		add(n)
	}
	require.True(t, follow().More)
	require.False(t, follow().More)
	require.False(t, follow().More)
	add(10)
	add(11)
	w.unsubscribes[4].RecipientKey = visitor(101)
	erased := visitor(101)
	w.list.Apply(kafka.Message{Key: suppression.Key(suppression.Recipient.Erased(), erased[:]), Value: suppression.Always})
	require.True(t, follow().More)
	require.False(t, follow().More)
	require.Equal(t, []string{visitor(3).String(), visitor(4).String(), visitor(9).String(), visitor(10).String()}, seen)
	require.Equal(t, "unsubscribes shop", w.asked[0])
}

func TestUnsubscribesThatAreRefused(t *testing.T) {
	w := newWorld(t)
	var page unsubscribesPage
	w.get(shopKey, "/v1/mail/unsubscribes").into(t, &page)
	for name, test := range map[string]struct {
		key, query string
		status     int
	}{
		"no key":                           {"", "", http.StatusUnauthorized},
		"a key without the right":          {adsKey, "", http.StatusForbidden},
		"a changed cursor":                 {shopKey, "?cursor=A" + page.Next, http.StatusUnprocessableEntity},
		"a cursor of something else":       {shopKey, "?cursor=" + w.memberCursor(), http.StatusUnprocessableEntity},
		"more than a page may have":        {shopKey, "?limit=10001", http.StatusUnprocessableEntity},
		"a limit of nothing":               {shopKey, "?limit=0", http.StatusUnprocessableEntity},
		"a cursor that is no text of ours": {shopKey, "?cursor=%00", http.StatusUnprocessableEntity},
	} {
		t.Run(name, func(t *testing.T) {
			answer := w.get(test.key, "/v1/mail/unsubscribes"+test.query)
			require.Equal(t, test.status, answer.status, answer.body)
			answer.problem(t)
		})
	}
}

// memberCursor is one of the members of an audience.
func (w *world) memberCursor() string {
	w.members = []store.Member{{Visitor: visitor(1)}, {Visitor: visitor(2)}}
	var page struct{ Next string }
	w.get(shopKey, "/v1/sites/shop/audiences/cart/members?limit=1").into(w.t, &page)
	require.NotEmpty(w.t, page.Next)
	return page.Next
}
