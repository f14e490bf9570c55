// Package load sends the traffic of a small shop to a collector: an open loop of numbered events, whose ids follow from
// the seed and the number, so that what was answered can be compared with what was stored. Used by loadgen, the demo and
// the end-to-end rounds.
package load

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/tools/internal/answers"
)

// Config says what to send.
type Config struct {
	// Targets are base URLs of collectors; an event goes to one of them, its repeats to any.
	Targets []string
	// Ready are URLs, one for each target, that answer 2xx while the target wants traffic; the load asks them as a load
	// balancer does, and goes to all targets while none wants any. Empty means that all always do.
	Ready []string
	Site  string
	// Rate is events a second; the loop is open: it does not wait for answers.
	Rate float64
	// Visitors is how many people come; some of them take no cookies.
	Visitors int
	// Repeat is the share of events that are sent a second time under the same id.
	Repeat float64
	// Filler is how many bytes each event is larger than a usual one; at most 8 KiB.
	Filler int
	// Retries is how often an event that was not answered as stored is sent again under the same id.
	Retries int
	Seed    uint64
	// Timeout bounds one request. InFlight bounds requests without an answer; what comes on top is not sent.
	Timeout  time.Duration
	InFlight int
}

// Result is what became of one event, over all its requests.
type Result struct {
	Number int64     `json:"number"`
	ID     uuid.UUID `json:"id"`
	// Event is what was sent, or would have been.
	Event *answers.Event `json:"-"`
	// Outcome is the strongest answer: stored (in Kafka or in a spool), refused (certainly not stored) or unknown (it may
	// be, or not).
	Outcome string `json:"outcome"`
	// Answer is the last header Onepx-Event, or the error.
	Answer   string `json:"answer"`
	Requests int    `json:"requests"`
	// Turned is how many of the requests were answered, but not as stored.
	Turned int `json:"turned,omitempty"`
}

// The outcomes.
const (
	Stored  = "stored"
	Refused = "refused"
	Unknown = "unknown"
)

// EventID is the id of the numbered event: UUIDv8 from the seed and the number.
func EventID(seed uint64, number int64) uuid.UUID {
	var in [16]byte
	binary.BigEndian.PutUint64(in[:8], seed)
	binary.BigEndian.PutUint64(in[8:], uint64(number))
	sum := sha256.Sum256(in[:])
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// Run sends until the context ends, waits for the answers, and returns how many events it made. Results come in the
// order in which they are known, from several goroutines, one call at a time.
func Run(ctx context.Context, cfg Config, result func(Result)) int64 {
	transport := &http.Transport{MaxIdleConnsPerHost: cfg.InFlight, MaxConnsPerHost: cfg.InFlight, IdleConnTimeout: 10 * time.Second}
	defer transport.CloseIdleConnections()
	s := &sender{
		Config: cfg,
		client: &http.Client{Transport: transport, Timeout: cfg.Timeout},
		shop:   newShop(cfg),
		slots:  make(chan struct{}, cfg.InFlight),
		result: result,
	}
	if len(cfg.Ready) > 0 {
		s.balancer.watch(ctx, cfg.Ready)
		defer s.balancer.watching.Wait()
	}
	start := time.Now()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	var number int64
	for ctx.Err() == nil {
		for due := int64(time.Since(start).Seconds() * cfg.Rate); number < due; number++ {
			s.send(number)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	s.flying.Wait()
	return number
}

type sender struct {
	Config
	client *http.Client
	shop   *shop
	// balancer knows which targets want traffic.
	balancer balancer
	slots    chan struct{}
	flying   sync.WaitGroup
	mu       sync.Mutex
	result   func(Result)
}

// send sends one event in the background, or reports it as refused when too many are on their way.
func (s *sender) send(number int64) {
	random := rand.New(rand.NewPCG(s.Seed, uint64(number)))
	id := EventID(s.Seed, number)
	hit := s.shop.hit(random, id)
	select {
	case s.slots <- struct{}{}:
	default:
		s.report(Result{Number: number, ID: id, Event: hit.event, Outcome: Refused, Answer: "not sent: too many in flight"})
		return
	}
	s.flying.Go(func() {
		defer func() { <-s.slots }()
		s.report(s.deliver(random, number, id, hit))
	})
}

func (s *sender) report(r Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.result(r)
}

// deliver sends the event, its retries and its repeat. An event that any answer calls stored is stored, whatever the
// others say; one of which any request may have reached Kafka is unknown.
func (s *sender) deliver(random *rand.Rand, number int64, id uuid.UUID, hit hit) Result {
	out := Result{Number: number, ID: id, Event: hit.event, Outcome: Refused}
	wanted := 1
	if random.Float64() < s.Repeat {
		wanted = 2
	}
	for stored := 0; stored < wanted && out.Requests < wanted+s.Retries; out.Requests++ {
		outcome, answer := s.request(s.Targets[s.balancer.pick(random, len(s.Targets))], hit)
		if out.Answer = answer; outcome != Stored && answered(answer) {
			out.Turned++
		}
		switch {
		case outcome == Stored:
			stored++
			out.Outcome = Stored
		case outcome == Unknown && out.Outcome != Stored:
			out.Outcome = Unknown
		}
	}
	return out
}

// certain are the answers after which an event is certainly not stored.
var certain = map[string]bool{
	"rejected; reason=overloaded": true,
	"rejected; reason=stopping":   true,
}

// answered tells whether an answer is a collector's, not an error of the connection.
func answered(answer string) bool { return strings.HasPrefix(answer, "rejected") }

func (s *sender) request(target string, hit hit) (outcome, answer string) {
	req, err := hit.request(target)
	if err != nil {
		return Refused, err.Error()
	}
	res, err := s.client.Do(req)
	if err != nil {
		return Unknown, errors.Unwrap(err).Error()
	}
	return read(res, hit)
}

// read reads an answer to its end and tells what it says.
func read(res *http.Response, hit hit) (outcome, answer string) {
	_, err := io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	hit.visitor.keep(res.Cookies())
	answer = res.Header.Get("Onepx-Event")
	switch {
	case answer == "stored" || answer == "spooled":
		return Stored, answer
	case err != nil:
		return Unknown, err.Error()
	case res.StatusCode == http.StatusBadRequest || certain[answer]:
		return Refused, answer
	default:
		return Unknown, answer
	}
}
