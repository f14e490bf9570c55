package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/services/console/internal/api"
	"github.com/onepx/onepx/services/console/internal/lookup"
	"github.com/onepx/onepx/services/console/internal/seal"
	"github.com/onepx/onepx/services/console/internal/store"
	"github.com/onepx/onepx/services/shared/exportlog"
	"github.com/onepx/onepx/services/shared/jobs"
	"github.com/onepx/onepx/services/shared/mailtoken"
	"github.com/onepx/onepx/services/shared/personal"
	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/suppression"
	"github.com/onepx/onepx/services/shared/userkey"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The keys of world: of the site shop with all rights, with one each, and of the site blog.
const (
	shopKey    = "key-of-the-shop"
	adsKey     = "key-of-the-ads"
	privacyKey = "key-of-the-dpo"
	blogKey    = "key-of-the-blog"
	slowKey    = "key-of-the-slow"
)

// sitesFile has a key for each of the above.
func sitesFile(slowRate int) string {
	return fmt.Sprintf(`sites:
  - id: shop
    timezone: Europe/Berlin
    currency: EUR
    api_keys:
      - {name: all, key: "%s", rights: [audiences, segments, exports, mail, privacy, reports], rate_limit: 100000}
      - {name: ads, key: "%s", rights: [audiences]}
      - {name: dpo, key: "%s", rights: [privacy]}
      - {name: slow, key: "%s", rights: [audiences], rate_limit: %d}
    sync_partners: [{id: adnet}]
  - id: blog
    sync_partners: [{id: other}]
    timezone: UTC
    currency: EUR
    api_keys: [{name: all, key: "%s", rights: [audiences, privacy, mail]}]
`, siteconfig.HashKey(shopKey), siteconfig.HashKey(adsKey), siteconfig.HashKey(privacyKey), siteconfig.HashKey(slowKey), slowRate, siteconfig.HashKey(blogKey))
}

const secret = "0123456789abcdef0123456789abcdef"

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func visitor(n int) uuid.UUID { return uuid.NewSHA1(uuid.Nil, fmt.Append(nil, "visitor", n)) }

// world is a server whose other parts are this struct.
type world struct {
	t      *testing.T
	server *api.Server
	log    bytes.Buffer
	now    time.Time

	facts map[uuid.UUID]lookup.Facts
	// ofPartner are the facts of visitors by their ids at partners.
	ofPartner map[string]lookup.Facts
	members   []store.Member
	version   string
	rows      []string
	links     []personal.Link
	else_     []personal.Elsewhere
	requests  map[uuid.UUID]personal.Request
	exports   []exportlog.Export
	dir       string
	// unsubscribes are those of the shop.
	unsubscribes []store.Unsubscribe
	// previewed are the rules that were tried; each waits for hold if there is one.
	previewed []siteconfig.Segment
	hold      chan struct{}
	// err is what all parts answer; broken what an export ends with.
	err, broken error

	mu      sync.Mutex
	written []jobs.Job
	asked   []string
	list    *suppression.List
}

func newWorld(t *testing.T, changes ...func(*api.Deps)) *world {
	t.Helper()
	w := &world{t: t, now: now, version: "v1", facts: map[uuid.UUID]lookup.Facts{}, requests: map[uuid.UUID]personal.Request{}, list: suppression.New(), dir: t.TempDir()}
	sites, err := siteconfig.Parse("onepx.yaml", []byte(sitesFile(2)))
	require.NoError(t, err)
	sealer, err := seal.New(secret)
	require.NoError(t, err)
	ring, err := mailtoken.ParseRing(mailKeys)
	require.NoError(t, err)
	urls, err := mailtoken.NewURLs("https://px.shop.example", ring)
	require.NoError(t, err)
	deps := api.Deps{
		Sites: sites, Lookups: w, Audiences: w, People: func(site string) api.People { return peopleOf{w, site} }, Requests: requests{w}, Jobs: w,
		Unsubscribes: w, Exports: exportLog{w}, ExportDir: w.dir,
		Suppressions: w.list, Sealer: sealer, UserKey: userkey.New(secret).Of, RecipientKey: userkey.New(secret).Recipient, Mail: urls, QueryTimeout: time.Second, Queries: 16,
		Version: "test", Meter: metricnoop.Meter{}, Tracer: tracenoop.Tracer{}, Logger: slog.New(slog.NewTextHandler(&w.log, nil)), Now: func() time.Time { return w.now },
	}
	for _, change := range changes {
		change(&deps)
	}
	w.server, err = api.New(deps)
	require.NoError(t, err)
	return w
}

func (w *world) Of(_ context.Context, site *siteconfig.Site, v uuid.UUID) (lookup.Facts, error) {
	w.note("lookup " + site.ID)
	return w.facts[v], w.err
}

func (w *world) OfPartner(_ context.Context, site *siteconfig.Site, partner, id string) (lookup.Facts, error) {
	w.note(fmt.Sprintf("partner %s %s %s", site.ID, partner, id))
	return w.ofPartner[id], w.err
}

func (w *world) Audiences(_ context.Context, site, segment string) ([]store.Audience, error) {
	w.note("audiences " + site)
	all := []store.Audience{
		{Segment: "cart", Name: "In the cart", Version: w.version, Rule: `{"id":"cart"}`, SavedAt: now, LivesMs: 86_400_000, HoldoutPermille: 125},
		{Segment: "viewed", Version: w.version, Rule: `not json`, SavedAt: now},
	}
	if segment != "" {
		all = slices.DeleteFunc(all, func(a store.Audience) bool { return a.Segment != segment })
	}
	return all, w.err
}

func (w *world) Size(context.Context, string, store.Audience, time.Time) (store.Size, error) {
	return store.Size{Members: 10, Minted: 3, HeldOut: 1}, w.err
}

func (w *world) Members(_ context.Context, site, segment, version string, at time.Time, after uuid.UUID, limit int) ([]store.Member, error) {
	w.note(fmt.Sprintf("members %s/%s %s %d", site, segment, version, at.UnixMilli()))
	var page []store.Member
	for _, m := range w.members {
		if bytes.Compare(m.Visitor[:], after[:]) > 0 && len(page) < limit {
			page = append(page, m)
		}
	}
	return page, w.err
}

func (w *world) Sizes(_ context.Context, _ string, _ store.Audience, from, to time.Time) ([]store.Day, error) {
	return []store.Day{{Day: from, Members: 1, Enters: 1}, {Day: to, Members: 2, Minted: 1, Enters: 3, Exits: 1, Expiries: 1}}, w.err
}

func (w *world) Explain(_ context.Context, _, _ string, v uuid.UUID, _ time.Time) ([]store.Step, error) {
	return []store.Step{{At: now, EventID: v, Step: "enter", Product: "sku-1", Counted: true, Note: "lets_in", Consent: []string{"measure", "profile"}, DecidedBy: "tcf"}}, w.err
}

func (w *world) Preview(ctx context.Context, site *siteconfig.Site, rule siteconfig.Segment, at time.Time, days int) (store.Preview, error) {
	w.note(fmt.Sprintf("preview %s %s %d", site.ID, rule.ID, days))
	w.mu.Lock()
	w.previewed = append(w.previewed, rule)
	w.mu.Unlock()
	if w.hold != nil {
		select {
		case <-w.hold:
		case <-ctx.Done():
			return store.Preview{}, ctx.Err()
		}
	}
	return store.Preview{Size: store.Size{Members: 2, Minted: 1, HeldOut: 3}, Days: []store.Day{{Day: at, Members: 2, Enters: 2}}, Samples: w.members}, w.err
}

func (w *world) Unsubscribes(_ context.Context, site string, after uint64, limit int) (page []store.Unsubscribe, err error) {
	w.note("unsubscribes " + site)
	for _, u := range w.unsubscribes {
		if u.Sequence > after && len(page) < limit {
			page = append(page, u)
		}
	}
	return page, w.err
}

// peopleOf is what is stored about people on a site.
type peopleOf struct {
	w    *world
	site string
}

func (p peopleOf) Count(context.Context, jobs.People) ([]personal.Held, error) {
	return []personal.Held{{Table: "events", Rows: 3}}, p.w.err
}

func (p peopleOf) Links(context.Context, jobs.People) ([]personal.Link, error) {
	return p.w.links, p.w.err
}

func (p peopleOf) Elsewhere(context.Context, jobs.People) ([]personal.Elsewhere, error) {
	return p.w.else_, p.w.err
}

func (p peopleOf) Export(_ context.Context, _ jobs.People, yield func(table, row string) error) error {
	p.w.note("export " + p.site)
	for _, row := range p.w.rows {
		if err := yield("events", row); err != nil {
			return err
		}
	}
	return p.w.broken
}

// requests is the log of privacy requests.
type requests struct{ w *world }

func (r requests) Last(_ context.Context, id uuid.UUID) (personal.Request, bool, error) {
	request, known := r.w.requests[id]
	return request, known, r.w.err
}

func (r requests) Counts(context.Context, uuid.UUID) (before, after []personal.Held, err error) {
	return []personal.Held{{Table: "events", Rows: 3}, {Table: "touches", Rows: 1}}, []personal.Held{{Table: "events"}}, r.w.err
}

// exportLog is the log of exports.
type exportLog struct{ w *world }

func (l exportLog) Last(_ context.Context, id uuid.UUID) (exportlog.Export, bool, error) {
	for _, e := range l.w.exports {
		if e.ID == id {
			return e, true, l.w.err
		}
	}
	return exportlog.Export{}, false, l.w.err
}

func (l exportLog) Latest(_ context.Context, site string, limit int) (all []exportlog.Export, err error) {
	for _, e := range l.w.exports {
		if e.Site == site && len(all) < limit {
			all = append(all, e)
		}
	}
	return all, l.w.err
}

func (w *world) Write(_ context.Context, job jobs.Job) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.written = append(w.written, job)
	}
	return w.err
}

func (w *world) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, what)
}

func (w *world) suppress(v uuid.UUID) {
	w.list.Apply(kafka.Message{Key: suppression.Key(suppression.Visitor, v[:]), Value: suppression.Always, Offset: w.list.Now().Position})
}

// response is what a request was answered with.
type response struct {
	status int
	header http.Header
	body   string
}

// problem is the detail of an answer, which must be a problem with the answer's status.
func (r response) problem(t *testing.T) string {
	t.Helper()
	var p struct {
		Status        int
		Title, Detail string
		Errors        []map[string]any
	}
	require.Equal(t, "application/problem+json", r.header.Get("Content-Type"), r.body)
	require.NoError(t, json.Unmarshal([]byte(r.body), &p))
	require.Equal(t, r.status, p.Status)
	require.NotEmpty(t, p.Title)
	for _, e := range p.Errors {
		require.NotContains(t, e, "value", "nothing is repeated")
		p.Detail += fmt.Sprintf("; %s %s", e["location"], e["message"])
	}
	return p.Detail
}

// into reads an answer that must be 200.
func (r response) into(t *testing.T, value any) {
	t.Helper()
	require.Equal(t, http.StatusOK, r.status, r.body)
	require.NoError(t, json.Unmarshal([]byte(r.body), value))
}

func (w *world) get(key, path string) response { return w.do(http.MethodGet, key, path, "") }

func (w *world) post(key, path, body string) response { return w.do(http.MethodPost, key, path, body) }

func (w *world) do(method, key, path, body string) response {
	return w.send(method, key, path, "application/json", body)
}

func (w *world) send(method, key, path, contentType, body string) response {
	w.t.Helper()
	request := httptest.NewRequest(method, path, io.NopCloser(strings.NewReader(body)))
	if body != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	recorder := httptest.NewRecorder()
	w.server.Handler().ServeHTTP(recorder, request)
	return response{recorder.Code, recorder.Header(), recorder.Body.String()}
}
