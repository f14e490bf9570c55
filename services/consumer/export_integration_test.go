//go:build integration

package main

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/exportlog"
	"github.com/onepx/onepx/services/shared/suppression"
)

// export runs `consumer export` and returns what it has printed, and the lines of the files that it names, in the order members,
// added, removed.
func (d *drill) export(format string, more ...string) (said answer, files [][][]string) {
	d.t.Helper()
	said = command(d.t, append([]string{"export", "--site", "shop", "--segment", "cart", "--format", format, "--asked-by", "ticket 5"}, more...)...)
	for _, found := range regexp.MustCompile(`(?m)^(shop/cart/.*\.csv): \d+ lines$`).FindAllStringSubmatch(said.out, -1) {
		file, err := os.Open(filepath.Join(os.Getenv("ONEPX_EXPORT_DIR"), found[1]))
		require.NoError(d.t, err)
		lines, err := csv.NewReader(file).ReadAll()
		require.NoError(d.t, err)
		require.NoError(d.t, file.Close())
		files = append(files, lines)
	}
	return said, files
}

// TestAnAudienceIsExportedWhateverHappensMeanwhile follows exports from the command to the files, through crashes, wishes and an
// erasure. Every visitor is in the audience; half are customers, and half of those share.
func TestAnAudienceIsExportedWhateverHappensMeanwhile(t *testing.T) {
	d := newDrill(t, "1s")
	d.visitors = 20
	contacts := t.TempDir()
	t.Setenv("ONEPX_EXPORT_DIR", t.TempDir())
	t.Setenv("ONEPX_EXPORT_CONTACTS_DIR", contacts)
	require.NoError(t, os.Mkdir(filepath.Join(contacts, "shop"), 0o700))
	lines := []string{"email"}
	events := map[int][]*onepxv1.Event{}
	for n := range d.visitors {
		hit := d.hit(n, 0)
		hit.Consent = &onepxv1.Consent{Measure: true, Profile: true, Cookie: true, Share: n%4 == 1}
		events[n%partitions] = append(events[n%partitions], hit)
		lines = append(lines, customerOf(n))
	}
	require.NoError(t, os.WriteFile(filepath.Join(contacts, "shop", "customers.csv"), []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	d.send(events)
	sites := filepath.Join(t.TempDir(), "onepx.yaml")
	require.NoError(t, os.WriteFile(sites, []byte("sites:\n  - id: shop\n    timezone: UTC\n    currency: EUR\n    segments:\n      - {id: cart, enter: {any: [{event: page_view}, {event: purchase}]}, leave: {event: paid}}\n"), 0o600))
	t.Setenv("ONEPX_CONFIG", sites)
	d.process()
	crashes := d.jobs(exportlog.Asked, exportlog.Snapshot, exportlog.Written, exportlog.Done)
	// A row is in events a moment before it is in what is made of it.
	stored := func(table, condition string) int64 {
		return d.one("SELECT uniqExact(visitor_id) FROM " + d.database + "." + table + " WHERE " + condition)
	}
	d.eventually("all are stored", func() bool {
		return stored("segment_hits", "step = 'enter'") == 20 && stored("share_consents", "true") == 20 && stored("identities", "true") == 10
	})

	said, files := d.export("the_trade_desk", "--contacts", "customers")
	require.Zero(t, said.code, said.out+said.errOut)
	require.EqualValues(t, 4, crashes.Load())
	require.Contains(t, said.out, "5 members, 5 added, 0 removed; 0 without a contact, 15 do not allow sharing")
	require.Len(t, files[0], 5)
	require.Equal(t, files[0], files[1])
	own, ownFiles := d.export("csv")
	require.Len(t, ownFiles[0], 21)

	// One buys, one opts out, one is erased.
	bought := d.hit(13, 1)
	bought.Name, bought.Kind, bought.OccurredAtMs = "paid", onepxv1.EventKind_EVENT_KIND_CUSTOM, time.Now().UnixMilli()
	bought.Consent = &onepxv1.Consent{Measure: true, Profile: true, Cookie: true, Share: true}
	d.send(map[int][]*onepxv1.Event{1: {bought}})
	d.eventually("the purchase is stored", func() bool { return stored("segment_hits", "step = 'leave'") == 1 })
	d.publish(eventlog.TopicSuppressions, 0, kafka.Message{Time: time.Now(), Key: suppression.Key(suppression.User, customerKeys.Of("shop", customerOf(5))), Value: suppression.Always})
	erased := command(t, "privacy", "erase", "--uid", customerOf(9), "--with-linked", "--asked-by", "ticket 6", "--yes")
	require.Zero(t, erased.code, erased.errOut)
	require.NoFileExists(t, filepath.Join(os.Getenv("ONEPX_EXPORT_DIR"), strings.Split(lastLine(own.out), ":")[0]))
	said, after := d.export("the_trade_desk", "--contacts", "customers")
	require.Zero(t, said.code, said.out+said.errOut)
	require.Equal(t, [][]string{files[0][0], files[0][4]}, after[0])
	require.Empty(t, after[1])
	require.Equal(t, [][]string{files[0][1], files[0][3]}, after[2], "who opted out and who bought are to be removed; nothing tells of the erased")

	list := command(t, "export", "list", "--site", "shop")
	require.Contains(t, list.out, "the_trade_desk")
	require.Contains(t, list.out, exportlog.Erased)
	failed := command(t, "export", "--site", "shop", "--segment", "other", "--format", "csv", "--asked-by", "ticket 7")
	require.Equal(t, 1, failed.code)
	require.Contains(t, failed.errOut, "site shop has no segment other")
	refused := command(t, "export", "--site", "shop", "--segment", "cart", "--format", "meta", "--asked-by", "ticket 8")
	require.Equal(t, 1, refused.code)
	require.Contains(t, refused.errOut, "format meta needs contacts")
}

// lastLine is the last line of a text.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
