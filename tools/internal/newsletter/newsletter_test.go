package newsletter_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/tools/internal/answers"
	"github.com/onepx/onepx/tools/internal/newsletter"
)

var sent = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

func TestHumanClicksAreThoseOfPeople(t *testing.T) {
	for seed := range uint64(5) {
		n := newsletter.New(seed, "autumn-26", 5000, sent)
		m := answers.NewMail(n.Hits, n.Pages)
		human, class := 0, m.Explained()
		for id := range n.MachineClicks {
			require.NotContains(t, []string{"calm", "on_site"}, class[id], "a machine's click, seed %d", seed)
		}
		for id := range n.PersonClicks {
			if class[id] == "calm" || class[id] == "on_site" {
				human++
			}
		}
		require.InEpsilon(t, len(n.PersonClicks), human, 0.01)
		row := m.EmailStats(answers.Range{From: "2026-11-02", To: "2026-11-02"})[0]
		require.InEpsilon(t, len(n.Clickers), row.Clickers, 0.01)
		require.Less(t, *row.Low, *row.Estimated)
		require.Less(t, *row.Estimated, *row.High)
	}
}

func TestTheEstimateOfReadersIsNearTheTruth(t *testing.T) {
	const rounds = 60
	within := 0
	for seed := range uint64(rounds) {
		n := newsletter.New(seed, "autumn-26", 1000, sent)
		row := answers.NewMail(n.Hits, n.Pages).EmailStats(answers.Range{From: "2026-11-02", To: "2026-11-02"})[0]
		if truth := float64(len(n.Readers) - n.Unseen()); *row.Low <= truth && truth <= *row.High {
			within++
		}
	}
	require.GreaterOrEqual(t, within, rounds*8/10, "a few less than 95 %: some of those who can be tracked block images, which Apple's readers do not")
}
