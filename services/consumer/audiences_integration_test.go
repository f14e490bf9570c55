//go:build integration

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/consumer/internal/audiences"
	"github.com/onepx/onepx/services/consumer/internal/unsubscribes"
	"github.com/onepx/onepx/services/consumer/internal/webhooks"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/suppression"
)

// hook is a receiver of webhooks, which answers with a status.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	told   []audiences.Message
	gone   []unsubscribes.Message
	wrong  []string
}

const hookSecret = "0123456789abcdef"

func newHook(t *testing.T) *hook {
	h := &hook{status: http.StatusOK}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		text, _ := io.ReadAll(r.Body)
		t, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Onepx-Signature"), "t="), ",")
		seconds, _ := strconv.ParseInt(t, 10, 64)
		if want := webhooks.Signature(hookSecret, time.Unix(seconds, 0), text); want != r.Header.Get("Onepx-Signature") || time.Since(time.Unix(seconds, 0)) > time.Minute {
			h.wrong = append(h.wrong, r.Header.Get("Onepx-Signature"))
		}
		w.WriteHeader(h.status)
		var body struct {
			Changes      []audiences.Message
			Unsubscribes []unsubscribes.Message
		}
		if err := json.Unmarshal(text, &body); err != nil {
			h.wrong = append(h.wrong, err.Error())
		}
		if h.status == http.StatusOK {
			h.told, h.gone = append(h.told, body.Changes...), append(h.gone, body.Unsubscribes...)
		}
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) answer(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = status
}

func (h *hook) all() []audiences.Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	return once(h.told)
}

// once leaves out what was told already, as receivers do.
func once(told []audiences.Message) (all []audiences.Message) {
	known := map[uuid.UUID]bool{}
	for _, m := range told {
		if !known[m.ID] {
			known[m.ID], all = true, append(all, m)
		}
	}
	return all
}

// onTopic returns what topic onepx.audiences holds, by partition, each change once.
func (w *world) onTopic() (all []audiences.Message) {
	w.t.Helper()
	for p := range partitions {
		w.records(eventlog.TopicAudiences, p, func(key string, value []byte) {
			var m audiences.Message
			require.NoError(w.t, json.Unmarshal(value, &m))
			require.Equal(w.t, m.VisitorID.String(), key)
			all = append(all, m)
		})
	}
	return once(all)
}

// records calls each with what a partition of a topic holds.
func (w *world) records(topic string, partition int, each func(key string, value []byte)) {
	w.t.Helper()
	res, err := w.kafka.Fetch(w.t.Context(), &kafka.FetchRequest{Topic: topic, Partition: partition, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: glance})
	require.NoError(w.t, err)
	require.NoError(w.t, res.Error)
	for {
		record, err := res.Records.ReadRecord()
		if err != nil {
			return
		}
		key, err := kafka.ReadAll(record.Key)
		require.NoError(w.t, err)
		value, err := kafka.ReadAll(record.Value)
		require.NoError(w.t, err)
		each(string(key), value)
	}
}

// does publishes an event of a visitor who allows profiling.
func (w *world) does(visitor uuid.UUID, name, product string) {
	w.t.Helper()
	w.publish(eventlog.TopicEvents, 0, w.record(event(func(ev *onepxv1.Event) {
		ev.Kind, ev.Name = onepxv1.EventKind_EVENT_KIND_CUSTOM, name
		ev.Visitor = &onepxv1.Visitor{VisitorId: visitor[:], Kind: onepxv1.VisitorKind_VISITOR_KIND_COOKIE}
		ev.Consent = &onepxv1.Consent{Measure: true, Profile: true, Cookie: true}
		ev.Commerce = &onepxv1.Commerce{Items: []*onepxv1.Item{{Id: product, QuantityMicros: 1_000_000}}}
	}), time.Now()))
}

func TestWhoEntersAndLeavesAndWhoWantsNoMoreMailIsToldOnTheTopicsAndToTheWebhook(t *testing.T) {
	w, receiver := begun(t), newHook(t)
	path := filepath.Join(t.TempDir(), "onepx.yaml")
	require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, `sites:
  - id: shop
    timezone: Europe/Berlin
    currency: EUR
    segments:
      - {id: carts, enter: {event: add_to_cart}, leave: {event: purchase}, same_product: true, stream: true}
    webhooks:
      - {url: %q, secret_env: HOOK_SECRET, events: [audiences, unsubscribes]}
`, strings.Replace(receiver.URL, "127.0.0.1", "localhost", 1)), 0o600))
	t.Setenv("ONEPX_CONFIG", path)
	refused := command(t, "jobs", "--admin-listen", "127.0.0.1:0")
	require.Equal(t, 1, refused.code)
	require.Contains(t, refused.errOut, "sites[0].webhooks[0].secret_env: the environment variable HOOK_SECRET is not set")
	t.Setenv("HOOK_SECRET", hookSecret)
	t.Setenv("ONEPX_WEBHOOK_PRIVATE_ADDRESSES", "true")
	storing := w.start()
	stop := w.jobs()
	w.eventually("the webhook is known", func() bool {
		return len(w.query("SELECT 1 FROM %s.audience_positions WHERE name LIKE 'webhook/%%'")) == 2
	})

	anna, bert := uuid.New(), uuid.New()
	w.does(anna, "add_to_cart", "tea")
	w.does(bert, "add_to_cart", "pot")
	w.mails(anna, onepxv1.EventKind_EVENT_KIND_EMAIL_UNSUBSCRIBE, "email_unsubscribe")
	w.mails(bert, onepxv1.EventKind_EVENT_KIND_EMAIL_DELIVERY, "email_complained")
	w.mails(bert, onepxv1.EventKind_EVENT_KIND_EMAIL_DELIVERY, "email_delivered")
	w.mails(uuid.Nil, onepxv1.EventKind_EVENT_KIND_EMAIL_UNSUBSCRIBE, "email_unsubscribe") // of whom nobody knows whom to leave out
	w.eventually("both are told", func() bool { return len(w.onTopic()) >= 2 && len(receiver.all()) >= 2 })
	w.eventually("both want no more mail", func() bool { return len(w.gone()) >= 2 && len(receiver.unsubscribed()) >= 2 })
	stop()
	require.ElementsMatch(t, w.gone(), receiver.unsubscribed())
	require.ElementsMatch(t, []string{anna.String() + " unsubscribed autumn 7", bert.String() + " complained autumn 7"}, told(w.gone()))
	require.ElementsMatch(t, w.onTopic(), receiver.all())
	for _, m := range w.onTopic() {
		require.Equal(t, "audience_entered", m.Type)
		require.Equal(t, "shop carts", m.Site+" "+m.Segment)
		require.Len(t, m.Products, 1)
	}

	// What happens while it does not run, and a receiver that has had enough.
	receiver.answer(http.StatusGone)
	w.does(anna, "purchase", "tea")
	cleo := uuid.New()
	w.mails(cleo, onepxv1.EventKind_EVENT_KIND_EMAIL_UNSUBSCRIBE, "email_unsubscribe")
	w.awaitRows(8)
	storing.stop()
	w.commit(1, 3, "") // by somebody else: those of the other partitions are told all the same
	// As if it had been killed before it could note how far it had come.
	require.NoError(t, w.clickHouse.Exec(t.Context(), "DELETE FROM "+w.database+".audience_positions WHERE startsWith(name, 'unsubscribes/') SETTINGS lightweight_deletes_sync = 2"))
	// And as if bert's had been found among replayed rows, ahead of that.
	require.NoError(t, w.clickHouse.Exec(t.Context(), "DELETE FROM "+w.database+".unsubscribes WHERE recipient_key = '"+anna.String()+"' SETTINGS lightweight_deletes_sync = 2"))
	list := suppression.Writer{Client: w.kafka}
	soon, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, list.Suppress(soon, []suppression.Entry{{Kind: suppression.Profiling, ID: bert[:]}}))
	stop = w.jobs()
	w.eventually("both have left", func() bool { return len(w.onTopic()) >= 4 })
	reasons := map[uuid.UUID]string{}
	for _, m := range w.onTopic() {
		if m.Type == "audience_left" {
			reasons[m.VisitorID] = m.Reason
		}
	}
	require.Equal(t, map[uuid.UUID]string{anna: "left", bert: "suppressed"}, reasons)
	w.eventually("the address is stopped", func() bool { return strings.Contains(command(t, "webhooks", "list").out, "stopped") })
	require.Len(t, receiver.all(), 2)
	require.Equal(t, 1, command(t, "webhooks", "retry", uuid.NewString()).code)
	require.Equal(t, 2, command(t, "webhooks", "retry").code)

	receiver.answer(http.StatusOK)
	again := command(t, "webhooks", "retry", "--all")
	require.Zero(t, again.code, again.errOut)
	w.eventually("it is sent to again", func() bool { return len(receiver.all()) == 4 })
	w.eventually("nothing is left", func() bool { return !strings.Contains(command(t, "webhooks", "list").out, "localhost") })
	require.ElementsMatch(t, w.onTopic(), receiver.all())
	w.eventually("all who want no more mail are told", func() bool { return len(receiver.unsubscribed()) == 3 })
	require.Equal(t, cleo, receiver.unsubscribed()[2].RecipientKey)
	require.ElementsMatch(t, w.gone(), receiver.unsubscribed())
	require.Equal(t, []string{`{"noted":3,"people":3}`}, w.query("SELECT count() AS noted, uniqExact(recipient_key) AS people FROM %s.unsubscribes"))
	require.Empty(t, receiver.wrong)
	stop()
}

// mails publishes an event of a mail; of a recipient, or of one who is not known.
func (w *world) mails(recipient uuid.UUID, kind onepxv1.EventKind, name string) {
	w.t.Helper()
	w.publish(eventlog.TopicEvents, 0, w.record(event(func(ev *onepxv1.Event) {
		ev.Kind, ev.Name, ev.Visitor = kind, name, nil
		ev.Mail = &onepxv1.Mail{CampaignId: "autumn", MessageId: "7"}
		if recipient != uuid.Nil {
			ev.Mail.RecipientKey = recipient[:]
		}
	}), time.Now()))
}

// gone returns what topic onepx.unsubscribes holds, without repeats.
func (w *world) gone() (all []unsubscribes.Message) {
	w.t.Helper()
	known := map[uuid.UUID]bool{}
	w.records(eventlog.TopicUnsubscribes, 0, func(key string, value []byte) {
		var m unsubscribes.Message
		require.NoError(w.t, json.Unmarshal(value, &m))
		require.Equal(w.t, m.RecipientKey.String(), key)
		if !known[m.ID] {
			known[m.ID], all = true, append(all, m)
		}
	})
	return all
}

// unsubscribed returns those of whom it was told, without repeats.
func (h *hook) unsubscribed() []unsubscribes.Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := map[uuid.UUID]bool{}
	return slices.DeleteFunc(slices.Clone(h.gone), func(m unsubscribes.Message) bool {
		again := known[m.ID]
		known[m.ID] = true
		return again
	})
}

func told(all []unsubscribes.Message) (texts []string) {
	for _, m := range all {
		texts = append(texts, m.RecipientKey.String()+" "+m.Cause+" "+m.Campaign+" "+m.Message)
	}
	return texts
}

// jobs starts `consumer jobs`, and returns what stops it.
func (w *world) jobs() func() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log, ended := &buffer{}, make(chan int, 1)
	go func() { ended <- execute(ctx, []string{"jobs", "--admin-listen", "127.0.0.1:0"}, io.Discard, log) }()
	stop := sync.OnceFunc(func() {
		cancel()
		require.Zero(w.t, <-ended, log)
	})
	w.t.Cleanup(stop)
	return stop
}
