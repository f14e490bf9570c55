//go:build integration

package exports_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/onepx/onepx/services/consumer/internal/exports"
	"github.com/onepx/onepx/services/consumer/internal/exports/exporttest"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/consumer/internal/storetest"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/exportlog"
	"github.com/onepx/onepx/services/shared/jobs"
	"github.com/onepx/onepx/services/shared/suppression"
	"github.com/onepx/onepx/services/shared/userkey"
)

var customerKeys = userkey.New("0123456789abcdef0123456789abcdef")

// shop is a site of which a test says who is in its audience `cart`, and the folders of its exports.
type shop struct {
	schema         store.Schema
	t              *testing.T
	conn           driver.Conn
	database, site string
	log            *exportlog.Log
	dir, contacts  string
	wishes         *suppression.List
	now            time.Time
	// crash is asked after each step.
	crash func(exportlog.Step) error
}

// known are wishes that are always known.
type known struct{ *suppression.List }

func (known) Ready() bool { return true }

func TestExports(t *testing.T) {
	conn, schema := storetest.Fresh(t, clickhouseconn.OfCommands)
	s := &shop{t: t, conn: conn, database: schema.Database, schema: schema}
	s.log = exportlog.NewLog(conn, s.database)
	// Who is in an audience is not what these tests are about.
	s.exec("CREATE TABLE %s.said (site_id String, segment String, visitor_id UUID, products Array(String), since DateTime64(3, 'UTC'), until DateTime64(3, 'UTC'), held_out Bool) ENGINE = MergeTree ORDER BY visitor_id")
	s.exec("CREATE OR REPLACE VIEW %s.active_segments AS SELECT DISTINCT site_id, arrayJoin(['cart', 'empty', 'refused']) AS segment, 'v1' AS version FROM %s.said")
	s.exec("CREATE OR REPLACE VIEW %s.audience_members AS SELECT visitor_id, products, since AS qualified_at, until AS ends_at, toUInt64(1) AS hits, held_out, false AS minted FROM %s.said " +
		"WHERE site_id = {site:String} AND segment = {segment:String} AND since <= {at:DateTime64(3)} AND {at:DateTime64(3)} < until AND throwIf({version:String} != 'v1' OR {segment:String} = 'refused') = 0")
	for name, test := range map[string]func(*shop){
		"an export holds the members, and the next one who has come and gone":    membersAddedRemoved,
		"a list for a platform holds nobody who does not allow it":               whoAllowsIt,
		"customers are found by their id or their address":                       foundCustomers,
		"an export goes on where it was killed, and gives the same files":        killedAfterSteps,
		"an export that was killed in the middle of a file leaves nothing of it": killedInAFile,
		"what can not be exported fails with a reason, and leaves nothing":       failures,
		"files of who is erased go, and the others are still compared with":      erased,
	} {
		t.Run(name, func(t *testing.T) {
			of := *s
			of.t, of.site, of.dir, of.contacts, of.wishes = t, "s"+uuid.NewString(), t.TempDir(), t.TempDir(), suppression.New()
			of.now, of.crash = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC), func(exportlog.Step) error { return nil }
			require.NoError(t, os.Mkdir(filepath.Join(of.contacts, of.site), 0o700))
			test(&of)
		})
	}
}

func (s *shop) exec(query string) {
	s.t.Helper()
	require.NoError(s.t, s.conn.Exec(s.t.Context(), strings.ReplaceAll(query, "%s", s.database)))
}

func emailOf(n int) string { return fmt.Sprintf("customer-%d@example.com", n) }

func (s *shop) userOf(n int) uuid.UUID { return uuid.UUID(customerKeys.Of(s.site, emailOf(n))) }

func (s *shop) visitorOf(n int) uuid.UUID { return uuid.NewSHA1(uuid.Nil, fmt.Append(nil, s.site, n)) }

// say puts visitors into the audience for a month.
func (s *shop) say(visitors ...int) {
	s.t.Helper()
	for _, n := range visitors {
		s.exec(fmt.Sprintf("INSERT INTO %%s.said VALUES ('%s', 'cart', '%s', ['P%d', '=1;+1'], '%s', '%s', false)", s.site, s.visitorOf(n), n, s.at(-time.Hour), s.at(30*24*time.Hour)))
	}
}

func (s *shop) at(offset time.Duration) string {
	return s.now.Add(offset).Format("2006-01-02 15:04:05.000")
}

// event stores an event of a visitor, who is the customer of the same number unless customer is below 0.
func (s *shop) event(n, customer int, share bool, offset time.Duration) {
	s.t.Helper()
	user := uuid.Nil
	if customer >= 0 {
		user = s.userOf(customer)
	}
	s.exec(fmt.Sprintf("INSERT INTO %%s.share_consents SELECT '%s', '%s', %s, %s, now() + 1000000", s.site, s.visitorOf(n), when(share, s.at(offset)), when(!share, s.at(offset))))
	s.exec(fmt.Sprintf("INSERT INTO %%s.identities (site_id, visitor_id, user_key, occurred_at, event_id, expires_at) VALUES ('%s', '%s', '%s', '%s', '%s', now() + 1000000)", s.site, s.visitorOf(n), user, s.at(offset), uuid.New()))
}

func when(condition bool, at string) string {
	if condition {
		return "toDateTime64('" + at + "', 3, 'UTC')"
	}
	return "toDateTime64(0, 3, 'UTC')"
}

// customers writes the site's file.
func (s *shop) customers(name string, lines ...string) {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(filepath.Join(s.contacts, s.site, name+".csv"), []byte(strings.Join(lines, "\n")+"\n"), 0o600))
}

func (s *shop) exporter() *exports.Exporter {
	s.t.Helper()
	metrics, err := exports.NewMetrics(noop.Meter{})
	require.NoError(s.t, err)
	return exports.New(exports.Deps{
		Store: store.NewExports(s.conn, s.schema), Log: s.log, Wishes: known{s.wishes}, Dir: s.dir, ContactsDir: s.contacts, Key: customerKeys.Of, Metrics: metrics,
		Now: func() time.Time { return s.now }, Logger: slog.New(slog.DiscardHandler), Saved: func(step exportlog.Step) error { return s.crash(step) },
	})
}

func (s *shop) job(format jobs.Format, change ...func(*jobs.Job)) jobs.Job {
	j := jobs.Job{ID: uuid.New(), Kind: jobs.Export, Site: s.site, AskedBy: "test", AskedAt: time.Now().UTC(), List: &jobs.List{Segment: "cart", Format: format}}
	if format.Shared() {
		j.List.Contacts = "customers"
	}
	for _, c := range change {
		c(&j)
	}
	return j
}

// export does an export a minute later and returns how it ended.
func (s *shop) export(j jobs.Job) exportlog.Export {
	s.t.Helper()
	s.now = s.now.Add(time.Minute)
	j.AskedAt = s.now
	require.NoError(s.t, s.exporter().Do(s.t.Context(), j))
	e, found, err := s.log.Last(s.t.Context(), j.ID)
	require.NoError(s.t, err)
	require.True(s.t, found)
	return e
}

// lines are those of a file, as the platform's rules have them.
func (s *shop) lines(e exportlog.Export, file string) [][]string {
	s.t.Helper()
	for i, name := range e.Files {
		if before, _, _ := strings.Cut(name, "."); before == file {
			content, err := os.ReadFile(filepath.Join(s.dir, e.Folder(), name))
			require.NoError(s.t, err)
			lines, err := exporttest.Check(jobs.Format(e.Format), content)
			require.NoError(s.t, err)
			require.Len(s.t, lines, int(e.Lines[i]))
			return lines
		}
	}
	require.Fail(s.t, "no file "+file, e.Error)
	return nil
}

// who are the numbers of the visitors in a file for the site itself, of 20.
func (s *shop) who(e exportlog.Export, file string) (numbers []int) {
	s.t.Helper()
	in := map[string]bool{}
	for _, line := range s.lines(e, file) {
		in[line[0]] = true
	}
	for n := range 20 {
		if in[s.visitorOf(n).String()] {
			numbers = append(numbers, n)
		}
	}
	require.Len(s.t, in, len(numbers))
	return numbers
}

// customersIn are the numbers of the customers in a list of TikTok, of 20.
func (s *shop) customersIn(e exportlog.Export, file string) (numbers []int) {
	s.t.Helper()
	for n := range 20 {
		for _, line := range s.lines(e, file) {
			if line[0] == exports.HexHash(emailOf(n)) {
				numbers = append(numbers, n)
			}
		}
	}
	return numbers
}
