package webhooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric/noop"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/services/consumer/internal/audiences"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/consumer/internal/webhooks"
	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/suppression"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestTheSignatureIsThatOfTheDocs is the vector of docs/audiences.md, made with
//
//	printf '%s' '1795608000.{"a":1}' | openssl dgst -sha256 -hmac 'a secret of 24 bytes....'
func TestTheSignatureIsThatOfTheDocs(t *testing.T) {
	require.Equal(t, "t=1795608000,v1=f494427be520e3dbaf17d90e663786a6ac373ab4388bf285a3f72b9a89566d9b",
		webhooks.Signature("a secret of 24 bytes....", time.Unix(1795608000, 999_000_000), []byte(`{"a":1}`)))
}

// outbox is an Outbox in memory.
type outbox struct {
	mu       sync.Mutex
	changes  []store.Change
	position *store.StreamPosition
	failures map[uuid.UUID]store.WebhookFailure
}

func (o *outbox) Told(_ context.Context, site string, after, last uint64, limit int) (found []webhooks.Told, _ error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.changes {
		if c.SiteID == site && after < c.Sequence && c.Sequence <= last && len(found) < limit {
			found = append(found, webhooks.Told{Sequence: c.Sequence, Kind: suppression.Visitor, Person: c.VisitorID, At: c.At, Message: audiences.MessageOf(c)})
		}
	}
	return found, nil
}

func (o *outbox) LastSequence(context.Context) (uint64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return uint64(len(o.changes)), nil
}

func (o *outbox) WebhookPosition(context.Context, string, string, string) (store.StreamPosition, bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.position == nil {
		return store.StreamPosition{}, false, nil
	}
	return *o.position, true, nil
}

func (o *outbox) Move(_ context.Context, p *store.StreamPosition, position int64, _ string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	p.Position = position
	saved := *p
	o.position = &saved
	return nil
}

func (o *outbox) WebhookFailures(context.Context) (all []store.WebhookFailure, _ error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.failures {
		if f.State != store.WebhookTaken {
			all = append(all, f)
		}
	}
	return all, nil
}

func (o *outbox) SaveWebhookFailure(_ context.Context, f *store.WebhookFailure) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	f.Revision++
	o.failures[f.DeliveryID] = *f
	return nil
}

// again is what `consumer webhooks retry --all` does.
func (o *outbox) again(t *testing.T) {
	t.Helper()
	all, err := o.WebhookFailures(t.Context())
	require.NoError(t, err)
	for _, f := range all {
		f.State = store.WebhookAgain
		require.NoError(t, o.SaveWebhookFailure(t.Context(), &f))
	}
}

// add adds n changes.
func (o *outbox) add(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for range n {
		sequence := uint64(len(o.changes) + 1)
		o.changes = append(o.changes, store.Change{Sequence: sequence, ID: uuid.New(), Type: store.AudienceEntered, SiteID: "shop", VisitorID: uuid.New(), Products: []string{}})
	}
}

// states are those of the batches that were not taken at first.
func (o *outbox) states() (all []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.failures {
		all = append(all, f.State)
	}
	return all
}

// request is one as a receiver sees it.
type request struct {
	at      time.Time
	headers http.Header
	text    string
	body    struct {
		Delivery uuid.UUID
		Site     string
		Changes  []audiences.Message
	}
}

// receiver answers requests.
type receiver struct {
	t        *testing.T
	mu       sync.Mutex
	requests []request
	// answer is how.
	answer func(n int) (status int, header http.Header, err error)
}

func (r *receiver) Do(asked *http.Request) (*http.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text, err := io.ReadAll(asked.Body)
	require.NoError(r.t, err)
	got := request{at: time.Now(), headers: asked.Header, text: string(text)}
	require.NoError(r.t, json.Unmarshal(text, &got.body))
	r.requests = append(r.requests, got)
	status, header, err := r.answer(len(r.requests))
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader("thanks"))}, nil
}

func (r *receiver) all() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]request(nil), r.requests...)
}

func status(codes ...int) func(int) (int, http.Header, error) {
	return func(n int) (int, http.Header, error) { return codes[min(n, len(codes))-1], http.Header{}, nil }
}

// pass lets fake time pass.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // time is fake
	synctest.Wait()
}

// send runs a sender in fake time while do runs.
func send(t *testing.T, answer func(int) (int, http.Header, error), do func(*outbox, *receiver, *suppression.List)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		metrics, err := webhooks.NewMetrics(noop.NewMeterProvider().Meter(""))
		require.NoError(t, err)
		o, r, list := &outbox{failures: map[uuid.UUID]store.WebhookFailure{}}, &receiver{t: t, answer: answer}, suppression.New()
		sender := webhooks.Sender{
			Address: webhooks.Address{Site: "shop", Event: siteconfig.WebhookAudiences, URL: "https://crm.example/hook?key=secret", Secret: "0123456789abcdef"},
			Outbox:  o, Post: r, List: list, Metrics: metrics, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		}
		o.add(3) // of before the webhook
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { require.ErrorIs(t, sender.Run(ctx), context.Canceled) })
		synctest.Wait()
		do(o, r, list)
		cancel()
		running.Wait()
	})
}

func TestChangesAreSentSignedInOrderAndInBatches(t *testing.T) {
	send(t, status(200), func(o *outbox, r *receiver, _ *suppression.List) {
		o.add(1201)
		pass(2 * time.Second)
		requests := r.all()
		require.Len(t, requests, 3)
		sent := 3
		for i, n := range []int{500, 500, 201} {
			got := requests[i]
			require.Len(t, got.body.Changes, n)
			for _, m := range got.body.Changes {
				require.Equal(t, audiences.MessageOf(o.changes[sent]), m)
				sent++
			}
			require.Equal(t, "shop", got.body.Site)
			require.Equal(t, got.body.Delivery.String(), got.headers.Get("Onepx-Delivery"))
			require.Equal(t, "application/json", got.headers.Get("Content-Type"))
			require.Equal(t, webhooks.Signature("0123456789abcdef", got.at, []byte(got.text)), got.headers.Get("Onepx-Signature"))
		}
		require.EqualValues(t, 1204, o.position.Position)
		require.Empty(t, o.states())
	})
}

func TestWhatIsNotTakenIsTriedAgainUnderTheSameID(t *testing.T) {
	broken := errors.New("connection refused")
	send(t, func(n int) (int, http.Header, error) {
		switch n {
		case 1:
			return 0, nil, broken
		case 2:
			return 302, http.Header{"Location": {"https://elsewhere.example"}}, nil
		case 3:
			return 503, http.Header{"Retry-After": {"600"}}, nil
		}
		return 204, http.Header{}, nil
	}, func(o *outbox, r *receiver, _ *suppression.List) {
		o.add(1)
		pass(20 * time.Minute)
		requests := r.all()
		require.Len(t, requests, 4)
		for i, got := range requests {
			require.Equal(t, requests[0].text, got.text)
			require.Equal(t, webhooks.Signature("0123456789abcdef", got.at, []byte(got.text)), got.headers.Get("Onepx-Signature"), "of the moment of this attempt")
			if i > 0 {
				require.GreaterOrEqual(t, got.at.Sub(requests[i-1].at), 500*time.Millisecond)
			}
		}
		require.Equal(t, 600*time.Second, requests[3].at.Sub(requests[2].at))
		require.Empty(t, o.states())
	})
}

func TestABatchThatIsNotTakenForADayIsSetAsideAndCanBeTriedAgain(t *testing.T) {
	down := true
	send(t, func(int) (int, http.Header, error) {
		if down {
			return 500, http.Header{}, nil
		}
		return 200, http.Header{}, nil
	}, func(o *outbox, r *receiver, _ *suppression.List) {
		o.add(1)
		pass(23 * time.Hour)
		require.Empty(t, o.states())
		first := r.all()
		require.Less(t, len(first), 300, "the pauses grow")
		pass(2 * time.Hour)
		require.Equal(t, []string{store.WebhookFailed}, o.states())
		for _, f := range o.failures {
			require.Equal(t, "crm.example answered 500 Internal Server Error", f.Error, "nothing of the address but its host")
			require.EqualValues(t, 1, f.Changes)
			require.Equal(t, first[0].body.Delivery, f.DeliveryID)
		}
		attempts := len(r.all())
		pass(time.Hour)
		require.Len(t, r.all(), attempts, "it is not tried by itself")

		o.again(t)
		pass(10 * time.Second)
		require.Len(t, r.all(), attempts+1, "once")
		require.Equal(t, []string{store.WebhookFailed}, o.states())
		down = false
		o.again(t)
		pass(10 * time.Second)
		require.Equal(t, []string{store.WebhookTaken}, o.states())
		require.Equal(t, first[0].text, r.all()[attempts+1].text)
	})
}

func TestAnAddressThatIsGoneIsSentNothingUntilSomebodyWantsIt(t *testing.T) {
	send(t, status(200, 410, 200), func(o *outbox, r *receiver, _ *suppression.List) {
		o.add(1)
		pass(2 * time.Second)
		o.add(1)
		pass(2 * time.Second)
		o.add(1)
		pass(48 * time.Hour)
		require.Len(t, r.all(), 2)
		require.Equal(t, []string{store.WebhookStopped}, o.states())
		o.again(t)
		pass(10 * time.Second)
		requests := r.all()
		require.Len(t, requests, 3)
		require.Len(t, requests[2].body.Changes, 2, "nothing was lost")
		require.Equal(t, []string{store.WebhookTaken}, o.states())
	})
}

func TestOfWhoIsBeingErasedNothingIsSent(t *testing.T) {
	send(t, status(200), func(o *outbox, r *receiver, list *suppression.List) {
		o.add(2)
		erased := o.changes[3].VisitorID
		list.Apply(kafka.Message{Key: suppression.Key(suppression.Visitor.Erased(), erased[:]), Value: suppression.Always})
		pass(2 * time.Second)
		require.Len(t, r.all(), 1)
		require.Len(t, r.all()[0].body.Changes, 1)
		require.NotContains(t, r.all()[0].text, erased.String())
		o.add(1)
		erased = o.changes[5].VisitorID
		list.Apply(kafka.Message{Key: suppression.Key(suppression.Visitor.Erased(), erased[:]), Value: suppression.Always})
		pass(2 * time.Second)
		require.Len(t, r.all(), 1, "a batch of nobody")
	})
}
