//go:build integration

package exports_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/exports"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/exportlog"
	"github.com/onepx/onepx/services/shared/jobs"
	"github.com/onepx/onepx/services/shared/suppression"
)

func membersAddedRemoved(s *shop) {
	t := s.t
	s.say(1, 2, 3)
	for _, format := range []jobs.Format{jobs.CSV, jobs.NDJSON, jobs.Parquet} {
		first := s.export(s.job(format))
		require.Equal(t, exportlog.Done, first.Step, first.Error)
		require.Equal(t, []int{1, 2, 3}, s.who(first, "members"))
		require.Equal(t, []int{1, 2, 3}, s.who(first, "added"), "there was none before")
		require.Empty(t, s.who(first, "removed"))
		require.Contains(t, strings.Join(s.lines(first, "members")[0], " "), "P")
		require.Equal(t, []uint64{3, 3, 0}, []uint64{first.Members, first.Added, first.Removed})
	}
	// Number 2 buys, number 4 comes.
	s.exec("ALTER TABLE %s.said UPDATE until = '" + s.at(0) + "' WHERE visitor_id = '" + s.visitorOf(2).String() + "' SETTINGS mutations_sync = 2")
	s.say(4)
	second := s.export(s.job(jobs.CSV))
	require.Equal(t, []int{1, 3, 4}, s.who(second, "members"))
	require.Equal(t, []int{4}, s.who(second, "added"))
	require.Equal(t, []int{2}, s.who(second, "removed"))
	require.NotEqual(t, uuid.Nil, second.Previous)
	empty := s.export(s.job(jobs.CSV, func(j *jobs.Job) { j.List.Segment = "empty" }))
	require.Empty(t, s.who(empty, "members"), "another list")

	third := s.export(s.job(jobs.CSV))
	require.Empty(t, s.who(third, "added"))
	require.Empty(t, s.who(third, "removed"))
	first, _, err := s.log.Last(t.Context(), second.Previous)
	require.NoError(t, err)
	require.Equal(t, exportlog.Removed, first.Step)
	require.NoDirExists(t, filepath.Join(s.dir, first.Folder()))
	require.DirExists(t, filepath.Join(s.dir, second.Folder()))
	require.NoError(t, s.exporter().Do(t.Context(), s.job(jobs.CSV, func(j *jobs.Job) { j.ID = third.ID })), "to do it again changes nothing")

	// After 90 days nothing is compared, and nothing kept.
	s.now = s.now.Add(91 * 24 * time.Hour)
	last := s.export(s.job(jobs.CSV))
	require.Equal(t, uuid.Nil, last.Previous)
	all, err := s.log.Latest(t.Context(), s.site, 100)
	require.NoError(t, err)
	for _, e := range all {
		if e.ID != last.ID {
			require.Equal(t, exportlog.Removed, e.Step)
			require.NoDirExists(t, filepath.Join(s.dir, e.Folder()))
		}
	}
	var notes uint64
	require.NoError(t, s.conn.QueryRow(t.Context(), "SELECT count() FROM "+s.database+".export_members WHERE site_id = '"+s.site+"'").Scan(&notes))
	require.Zero(t, notes)
}

func whoAllowsIt(s *shop) {
	t := s.t
	s.say(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
	var lines []string
	for n := range 20 {
		s.event(n, n, true, -2*time.Hour)
		if n != 8 {
			lines = append(lines, emailOf(n))
		}
	}
	s.customers("customers", append([]string{"email"}, lines...)...)
	s.event(2, 2, false, -time.Hour)                                                                                                      // has taken it back
	s.event(3, 3, false, -2*time.Hour)                                                                                                    // has said both at one instant
	s.event(4, 4, false, -3*time.Hour)                                                                                                    // has allowed it since
	s.event(5, 5, false, -time.Hour)                                                                                                      // the same, out of order
	s.event(5, 5, true, -30*time.Minute)                                                                                                  //
	s.event(6, 16, true, -time.Minute)                                                                                                    // somebody else uses the device
	s.exec("ALTER TABLE %s.said UPDATE held_out = true WHERE visitor_id = '" + s.visitorOf(7).String() + "' SETTINGS mutations_sync = 2") // and 8 is not in the file
	s.say(12)                                                                                                                             // a second device of customer 1
	s.event(12, 1, true, -time.Minute)                                                                                                    //
	s.say(13)                                                                                                                             // has never said anything
	s.exec("DELETE FROM %s.share_consents WHERE visitor_id = '" + s.visitorOf(13).String() + "'")
	for i, wish := range []suppression.Entry{{Kind: suppression.Visitor, ID: id(s.visitorOf(9))}, {Kind: suppression.Profiling, ID: id(s.visitorOf(10))}, {Kind: suppression.User, ID: id(s.userOf(11))}} {
		s.wishes.Apply(kafka.Message{Key: suppression.Key(wish.Kind, wish.ID), Value: suppression.Always, Offset: int64(i)})
	}
	e := s.export(s.job(jobs.TikTok))
	require.Equal(t, exportlog.Done, e.Step, e.Error)
	require.Equal(t, []int{1, 4, 5, 16}, s.customersIn(e, "members"))
	require.EqualValues(t, 6, e.Members, "1 and 12, 4, 5, 6, 8")
	require.EqualValues(t, 1, e.WithoutContact)
	require.EqualValues(t, 3, e.WithoutShare, "2, 3, 13")
	require.EqualValues(t, 4, e.Added)

	own := s.export(s.job(jobs.CSV))
	require.Equal(t, []int{1, 2, 3, 4, 5, 6, 8, 11, 12, 13}, s.who(own, "members"), "the site itself needs no consent to sharing")

	// Who takes it back is removed.
	s.event(4, 4, false, 0)
	s.wishes.Apply(kafka.Message{Key: suppression.Key(suppression.Visitor, id(s.visitorOf(5))), Value: suppression.Always, Offset: 9})
	e = s.export(s.job(jobs.TikTok))
	require.Equal(t, []int{1, 16}, s.customersIn(e, "members"))
	require.Empty(t, s.customersIn(e, "added"))
	require.Equal(t, []int{4, 5}, s.customersIn(e, "removed"))
}

func id(u uuid.UUID) []byte { return u[:] }

func foundCustomers(s *shop) {
	t := s.t
	s.say(1, 2, 3)
	s.event(1, 1, true, 0)
	s.event(2, 2, true, 0)
	s.exec(fmt.Sprintf("INSERT INTO %%s.identities (site_id, visitor_id, user_key, occurred_at, event_id, expires_at) VALUES ('%s', '%s', '%s', '%s', '%s', now() + 1000000)",
		s.site, s.visitorOf(1), uuid.UUID(customerKeys.Of(s.site, "17")), s.at(time.Second), uuid.New()))
	s.exec("INSERT INTO %s.share_consents SELECT '" + s.site + "', '" + s.visitorOf(3).String() + "', now(), 0, now() + 1000000")
	s.customers("customers", "customer_id,email,phone", "17,one@example.com,", "18,"+strings.ToUpper(emailOf(2))+",0151", ",,", "17,,+4915112345678", "19,"+emailOf(1)+",")
	e := s.export(s.job(jobs.TikTok))
	require.Equal(t, [][]string{{exports.HexHash("one@example.com"), ""}, {exports.HexHash(emailOf(2)), ""}, {"", exports.HexHash("4915112345678")}}, s.lines(e, "members"))
	require.EqualValues(t, 1, e.Unusable)
	require.EqualValues(t, 3, e.Members)
	require.EqualValues(t, 1, e.WithoutContact, "the visitor who is no customer")
}

func killedAfterSteps(s *shop) {
	t := s.t
	s.say(1, 2, 3)
	for n := range 9 {
		s.event(n, n, true, -time.Hour)
	}
	s.customers("customers", "email", emailOf(1), emailOf(2), emailOf(3), emailOf(4))
	for _, format := range []jobs.Format{jobs.Parquet, jobs.Meta} {
		for _, step := range []exportlog.Step{exportlog.Asked, exportlog.Snapshot, exportlog.Written, exportlog.Done} {
			j := s.job(format)
			crash := errors.New("crash")
			s.crash = func(at exportlog.Step) error {
				if at == step {
					return crash
				}
				return nil
			}
			s.now = s.now.Add(time.Minute)
			require.ErrorIs(t, s.exporter().Do(t.Context(), j), crash)
			s.crash = func(exportlog.Step) error { return nil }
			if step == exportlog.Snapshot || step == exportlog.Written { // whoever comes now is not of that instant
				s.exec("INSERT INTO %s.said VALUES ('" + s.site + "', 'cart', '" + s.visitorOf(4).String() + "', [], '" + s.at(-time.Hour) + "', '" + s.at(time.Hour) + "', false)")
			}
			e := s.export(j)
			require.Equal(t, exportlog.Done, e.Step, e.Error)
			require.Len(t, s.lines(e, "members"), 3)
			require.EqualValues(t, 3, e.Members)
			s.exec("DELETE FROM %s.said WHERE visitor_id = '" + s.visitorOf(4).String() + "'")
		}
	}
}

func killedInAFile(s *shop) {
	t := s.t
	s.say(1, 2, 3)
	j := s.job(jobs.NDJSON)
	s.crash = func(step exportlog.Step) error {
		if step == exportlog.Snapshot {
			return errors.New("crash")
		}
		return nil
	}
	require.Error(t, s.exporter().Do(t.Context(), j))
	// What a process that is killed while it writes, or between two files' names, has left behind.
	folder := filepath.Join(s.dir, s.site, "cart", j.ID.String())
	require.NoError(t, os.MkdirAll(folder, 0o700))
	for name, content := range map[string]string{"members.ndjson.part": strings.Repeat("x", 1<<16), "added.ndjson.part": "{", "removed.ndjson": "old\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600))
	}
	s.crash = func(exportlog.Step) error { return nil }
	e := s.export(j)
	require.Equal(t, []int{1, 2, 3}, s.who(e, "members"))
	require.Empty(t, s.lines(e, "removed"))
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, left, 3)
	require.Positive(t, e.Bytes)
}

func failures(s *shop) {
	t := s.t
	s.say(1)
	s.event(1, 1, true, -time.Hour)
	s.customers("customers", "email", emailOf(1))
	s.customers("broken", "email,phone", emailOf(1)+",", emailOf(2), "\xff,")
	s.customers("headerless", emailOf(1))
	require.NoError(t, os.Symlink("/etc/hostname", filepath.Join(s.contacts, s.site, "outside.csv")))
	require.NoError(t, os.Mkdir(filepath.Join(s.contacts, s.site, "folder.csv"), 0o700))
	contacts := func(name string) func(*jobs.Job) { return func(j *jobs.Job) { j.List.Contacts = name } }
	for _, tc := range []struct {
		name string
		job  jobs.Job
		want string
	}{
		{"an unknown segment", s.job(jobs.CSV, func(j *jobs.Job) { j.List.Segment = "other" }), "site " + s.site + " has no segment other"},
		{"an unknown site", s.job(jobs.CSV, func(j *jobs.Job) { j.Site = "other" }), "site other has no segment cart"},
		{"no file of contacts", s.job(jobs.Meta, contacts("missing")), "contacts " + s.site + "/missing.csv: no such file or directory"},
		{"a file elsewhere", s.job(jobs.Meta, contacts("outside")), "contacts " + s.site + "/outside.csv: path escapes from parent"},
		{"a folder", s.job(jobs.Meta, contacts("folder")), "contacts " + s.site + "/folder.csv: not a regular file"},
		{"mistakes in the contacts", s.job(jobs.Meta, contacts("broken")), "contacts " + s.site + "/broken.csv: line 3: has 1 fields, the header has 2\nline 4: field 1 is not a text of at most 512 characters in UTF-8"},
		{"contacts without a header", s.job(jobs.Meta, contacts("headerless")), "contacts " + s.site + "/headerless.csv: line 1: column 1 of the header is none of city, country, customer_id, dob, email, first_name, gender, last_name, phone, state, zip; columns are separated by commas, the text is UTF-8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := s.export(tc.job)
			require.Equal(t, exportlog.Failed, e.Step)
			require.Equal(t, tc.want, e.Error)
			require.Empty(t, e.Files)
			require.NoDirExists(t, filepath.Join(s.dir, e.Folder()))
		})
	}
	s.dir = filepath.Join(s.dir, "file")
	require.NoError(t, os.WriteFile(s.dir, nil, 0o600))
	require.Contains(t, s.export(s.job(jobs.CSV)).Error, "ONEPX_EXPORT_DIR: ")
	s.dir = ""
	require.Equal(t, "ONEPX_EXPORT_DIR of consumer jobs is not set", s.export(s.job(jobs.CSV)).Error)
	s.dir, s.contacts = t.TempDir(), ""
	require.Equal(t, "ONEPX_EXPORT_CONTACTS_DIR of consumer jobs is not set", s.export(s.job(jobs.TheTradeDesk)).Error)
	s.exec("INSERT INTO %s.said SELECT site_id, 'refused', visitor_id, products, since, until, held_out FROM %s.said WHERE site_id = '" + s.site + "'")
	j, exporter := s.job(jobs.CSV, func(j *jobs.Job) { j.List.Segment = "refused" }), s.exporter()
	for range 4 {
		require.Error(t, exporter.Do(t.Context(), j), "it may be better next time")
	}
	require.NoError(t, exporter.Do(t.Context(), j))
	e, _, err := s.log.Last(t.Context(), j.ID)
	require.NoError(t, err)
	require.Contains(t, e.Error, "the database refused: exception 395;")
	var notes uint64
	require.NoError(t, s.conn.QueryRow(t.Context(), "SELECT count() FROM "+s.database+".export_members WHERE site_id = '"+s.site+"'").Scan(&notes))
	require.Zero(t, notes)
}

func erased(s *shop) {
	t := s.t
	s.say(1, 2, 3)
	for n := range 4 {
		s.event(n, n, true, -time.Hour)
	}
	s.customers("customers", "email", emailOf(1), emailOf(2), emailOf(3))
	own, shared := s.export(s.job(jobs.CSV)), s.export(s.job(jobs.TikTok))
	other := s.export(s.job(jobs.NDJSON, func(j *jobs.Job) { j.List.Segment = "empty" }))
	erasure := store.NewErasure(store.NewRebuilds(s.conn, s.schema), uuid.New(), "")
	require.NoError(t, erasure.Find(t.Context(), jobs.People{Users: []uuid.UUID{s.userOf(2)}, Visitors: []uuid.UUID{s.visitorOf(2)}}))
	holding, err := erasure.NotedBy(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, []uuid.UUID{own.ID, shared.ID}, holding)
	for range 2 {
		require.NoError(t, s.exporter().Remove(t.Context(), holding))
	}
	require.NoError(t, erasure.Delete(t.Context(), 1))
	require.NoError(t, erasure.Drop(t.Context()))
	require.NoDirExists(t, filepath.Join(s.dir, own.Folder()))
	require.NoDirExists(t, filepath.Join(s.dir, shared.Folder()))
	require.DirExists(t, filepath.Join(s.dir, other.Folder()))
	s.exec("DELETE FROM %s.said WHERE visitor_id IN ('" + s.visitorOf(1).String() + "', '" + s.visitorOf(2).String() + "')")
	next := s.export(s.job(jobs.CSV))
	require.Equal(t, own.ID, next.Previous)
	require.Equal(t, []int{3}, s.who(next, "members"))
	require.Equal(t, []int{1}, s.who(next, "removed"), "nothing tells of the erased")
}
