package api_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/account"
	"github.com/onepx/onepx/services/collector/internal/api"
	"github.com/onepx/onepx/services/collector/internal/client"
	"github.com/onepx/onepx/services/collector/internal/deliveries"
	"github.com/onepx/onepx/services/collector/internal/identity"
	"github.com/onepx/onepx/services/collector/internal/tally"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/suppression"
	"github.com/onepx/onepx/services/shared/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const sites = `
sites:
  - id: shop
    timezone: Europe/Berlin
    currency: EUR
    cookie_domain: shop.example
    allowed_origins: ["https://shop.example"]
    write_keys: ["sha256:2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"] # of the word "key"
    sync_partners: [{id: adnet, url: "https://sync.adnet.example/match?v={visitor}&to={callback}$UID", redirects: [sync.adnet.example]}, {id: begins}]
    mail_providers: {ses_topics: ["arn:aws:sns:us-east-1:123456789012:mail"], postmark_credentials: ["sha256:1fb03c0b1c26fed72f193a58481c3dc6707fe798025933839c7e61108214a778"]} # of onepx:password
  - {id: blog, timezone: UTC, currency: USD}
  - {id: named, timezone: UTC, currency: USD, paths: {tag: /assets/a.js, events: /assets/b, pixel: /assets/c.gif}}
  - {id: half, timezone: UTC, currency: USD, paths: {tag: /half.js}, privacy: cookieless, consent: {regions: {opt_out: [US]}}} # cookies in the US
  - {id: quiet, timezone: UTC, currency: USD, privacy: cookieless}
  - {id: asking, timezone: UTC, currency: USD, privacy: cookieless, consent: {without: count}}
  - {id: silent, timezone: UTC, currency: USD, privacy: cookieless, consent: {without: nothing}}
  - {id: slow, timezone: UTC, currency: USD, rate_limit: 10, allowed_origins: ["https://shop.example"]}
`

// arrival is the clock of these tests: 2026-11-25 12:00:00 UTC.
var arrival = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// publisher keeps what it is given, or answers with a reason.
type publisher struct {
	mu     sync.Mutex
	events []*onepxv1.Event
	answer reason.Reason
	// fates are the answers for events of these names.
	fates  map[string]reason.Reason
	panics bool
	// holds keeps events waiting until it is closed; waiting is how many there are.
	holds   chan struct{}
	waiting atomic.Int64
}

func (p *publisher) Publish(_ context.Context, ev *onepxv1.Event) reason.Reason {
	if p.holds != nil {
		p.waiting.Add(1)
		<-p.holds
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.panics {
		panic("a defect")
	}
	word := p.answer
	if fate, decided := p.fates[ev.GetName()]; decided {
		word = fate
	}
	if word == "" {
		copied, _ := proto.Clone(ev).(*onepxv1.Event)
		p.events = append(p.events, copied)
	}
	return word
}

func (p *publisher) PublishAll(ctx context.Context, events []*onepxv1.Event) []reason.Reason {
	var words []reason.Reason
	for _, ev := range events {
		words = append(words, p.Publish(ctx, ev))
	}
	return words
}

// suppressions is a list of one, and of what is written to it.
type suppressions struct {
	kind   suppression.Kind
	id     []byte
	panics bool

	mu sync.Mutex
	// written are the keys of what was put on the list, with - in front of what was taken off.
	written []string
	listed  map[string]bool
	// fails is why nothing can be written; hides keeps what is written from being read.
	fails error
	hides bool
}

func (s *suppressions) Contains(kind suppression.Kind, id []byte, _ time.Time) bool {
	found := len(id) > 0 && kind == s.kind && bytes.Equal(id, s.id)
	if found && s.panics {
		panic("a defect")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return found || s.listed[string(suppression.Key(kind, id))]
}

func (s *suppressions) Wished(kind suppression.Kind, id []byte) bool {
	return s.Contains(kind, id, arrival)
}

func (s *suppressions) Suppress(ctx context.Context, entries []suppression.Entry) error {
	return s.write(ctx, entries, "", true)
}

func (s *suppressions) Lift(ctx context.Context, entries []suppression.Entry) error {
	return s.write(ctx, entries, "-", false)
}

func (s *suppressions) write(ctx context.Context, entries []suppression.Entry, sign string, listed bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, limited := ctx.Deadline(); !limited {
		return errors.New("the wish has no deadline")
	}
	if s.fails != nil {
		return s.fails
	}
	for _, e := range entries {
		key := string(suppression.Key(e.Kind, e.ID))
		s.written = append(s.written, sign+key)
		if !s.hides {
			s.listed[key] = listed
		}
	}
	return nil
}

// edge is a server that listens, with everything around it made up.
type edge struct {
	t            *testing.T
	url          string
	server       *api.Server
	publisher    *publisher
	suppressions *suppressions
	tallies      []tally.Key
	counts       *account.Counts
	telemetry    *telemetry.Telemetry
	log          *bytes.Buffer
}

// build makes a server that does not listen yet.
func build(t *testing.T, changes ...func(*api.Deps)) (*edge, *api.Server) {
	t.Helper()
	e := &edge{t: t, publisher: &publisher{}, suppressions: &suppressions{listed: map[string]bool{}}, counts: account.NewCounts(), log: &bytes.Buffer{}}
	var err error
	e.telemetry, err = telemetry.New(context.Background(), telemetry.Config{Service: "collector", LogOutput: e.log})
	require.NoError(t, err)
	config, err := siteconfig.Parse("onepx.yaml", []byte(sites))
	require.NoError(t, err)
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	deps := api.Deps{
		Sites: config, Clients: client.New(trusted, nil, nil), Identities: identity.New("0123456789abcdef0123456789abcdef"),
		Suppressions: e.suppressions, Wishes: e.suppressions, MailTokens: mailRing, Deliveries: deliveries.New(deliveries.Config{Transport: unreachable{}, Getenv: func(string) string { return "mailgun-key" }, Now: func() time.Time { return arrival }}), Publisher: e.publisher, Tally: func(key tally.Key) { e.tallies = append(e.tallies, key) }, Account: e.counts.Ended, WriteTimeout: 20 * time.Second,
		Meter: e.telemetry.Meter, Tracer: e.telemetry.Tracer, Logger: e.telemetry.Logger, Now: func() time.Time { return arrival },
	}
	for _, change := range changes {
		change(&deps)
	}
	e.server, err = api.New(deps)
	require.NoError(t, err)
	return e, e.server
}

// start serves until the test ends, and then checks that every event received had one outcome.
func start(t *testing.T, changes ...func(*api.Deps)) *edge {
	t.Helper()
	e, server := build(t, changes...)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	e.url = "http://" + listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		require.NoError(t, server.Shutdown(context.Background()))
		require.NoError(t, <-served)
		counters := e.counters()
		sum := 0
		for name, value := range counters {
			if strings.HasPrefix(name, "onepx_collector_events_total{") {
				sum += value
			}
		}
		require.Equal(t, counters["onepx_collector_events_received_total"], sum, "received = stored + suppressed + ignored + rejected + lost")
		e.telemetry.Shutdown(context.Background())
	})
	return e
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body []byte
}

// onepx is what the answer says of the event.
func (a answer) onepx() string { return a.Header.Get("Onepx-Event") }

// get asks for the target with headers given as name, value, name, value …
func (e *edge) get(target string, headers ...string) answer {
	e.t.Helper()
	return e.do(http.MethodGet, target, headers...)
}

// post sends the body.
func (e *edge) post(target, body string, headers ...string) answer {
	e.t.Helper()
	return e.send(http.MethodPost, target, strings.NewReader(body), headers...)
}

func (e *edge) do(method, target string, headers ...string) answer {
	e.t.Helper()
	return e.send(method, target, nil, headers...)
}

func (e *edge) send(method, target string, body io.Reader, headers ...string) answer {
	e.t.Helper()
	request, err := http.NewRequest(method, e.url+target, body)
	require.NoError(e.t, err)
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			request.Host = headers[i+1]
			continue
		}
		request.Header.Add(headers[i], headers[i+1])
	}
	stay := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := stay.Do(request)
	require.NoError(e.t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(e.t, err)
	return answer{response, content}
}

// stored returns the one event that was published.
func (e *edge) stored() *onepxv1.Event {
	e.t.Helper()
	require.Len(e.t, e.publisher.events, 1)
	return e.publisher.events[0]
}

var counterLine = regexp.MustCompile(`(?m)^(onepx_\w+(?:\{[^}]*\})?) (\d+)$`)

// counters are all counters of the service as /metrics shows them.
func (e *edge) counters() map[string]int {
	e.t.Helper()
	recorder := httptest.NewRecorder()
	e.telemetry.MetricsHandler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	counters := map[string]int{}
	for _, m := range counterLine.FindAllStringSubmatch(recorder.Body.String(), -1) {
		value, err := strconv.Atoi(m[2])
		require.NoError(e.t, err)
		counters[m[1]] = value
	}
	return counters
}

// setCookie returns the cookie that the answer sets, or nil.
func (a answer) setCookie(name string) *http.Cookie {
	for _, c := range a.Cookies() {
		if c.Name == name {
			return c
		}
	}
	return nil
}
