package webhooks

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/settings"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// Poster makes requests (http.Client).
type Poster interface {
	Do(*http.Request) (*http.Response, error)
}

const (
	// attemptTimeout is for one request with its answer.
	attemptTimeout = 15 * time.Second
	// patience is how long a batch is tried, once no try at all but the first.
	patience = 24 * time.Hour
	once     = 0
	// The pause between two attempts grows from retryMin to retryMax, each varied by half.
	retryMin = time.Second
	retryMax = 10 * time.Minute
	// maxRetryAfter is the longest pause that an answer may ask for.
	maxRetryAfter = time.Hour
	// maxAnswer is how much of an answer's body is read, so that the connection can be used again.
	maxAnswer = 64 << 10
)

// errGone is the answer 410.
var errGone = errors.New("answered 410 Gone: it wants nothing any more")

// body is that of a request.
type body struct {
	// Delivery is the id of the batch, also in a header.
	Delivery     uuid.UUID `json:"delivery"`
	Site         string    `json:"site"`
	Changes      []any     `json:"changes,omitempty"`
	Unsubscribes []any     `json:"unsubscribes,omitempty"`
}

// deliver posts a batch until it is taken or patience is over. Of people who are being erased nothing is sent.
func (s *Sender) deliver(ctx context.Context, f *store.WebhookFailure, told []Told, patience time.Duration) error {
	var messages []any
	for _, t := range told {
		if !s.List.Erased(t.Kind, t.Person[:], t.At) {
			messages = append(messages, t.Message)
		}
	}
	f.Changes = uint32(len(messages)) //nolint:gosec // at most a batch
	if len(messages) == 0 {
		return nil
	}
	content := body{Delivery: f.DeliveryID, Site: s.Site}
	switch s.Event {
	case siteconfig.WebhookAudiences:
		content.Changes = messages
	case siteconfig.WebhookUnsubscribes:
		content.Unsubscribes = messages
	}
	text, err := json.Marshal(content)
	if err != nil {
		return err
	}
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = retryMin, retryMax
	options := []backoff.RetryOption{backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(patience)}
	if patience == once {
		options = append(options, backoff.WithMaxTries(1))
	}
	_, err = backoff.Retry(ctx, func() (struct{}, error) {
		f.Attempts++
		err := s.attempt(ctx, f.DeliveryID, text)
		if ctx.Err() == nil {
			s.Metrics.attempted(err == nil)
		}
		return struct{}{}, err
	}, options...)
	if err == nil {
		s.Metrics.changes.Add(ctx, int64(len(messages)))
	}
	return err
}

// attempt posts a batch once. The error holds nothing of the address but its host.
func (s *Sender) attempt(ctx context.Context, delivery uuid.UUID, text []byte) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(text))
	if err != nil {
		return backoff.Permanent(errors.New("the address cannot be asked"))
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "onepx")
	request.Header.Set("Onepx-Delivery", delivery.String())
	request.Header.Set("Onepx-Signature", Signature(s.Secret, s.Now(), text))
	answer, err := s.Post.Do(request)
	if err != nil {
		if of := (*url.Error)(nil); errors.As(err, &of) {
			err = of.Err
		}
		return fmt.Errorf("%s: %w", request.URL.Host, err)
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswer))
	switch {
	case answer.StatusCode/100 == 2:
		return nil
	case answer.StatusCode == http.StatusGone:
		return backoff.Permanent(errGone)
	}
	err = fmt.Errorf("%s answered %d %s", request.URL.Host, answer.StatusCode, http.StatusText(answer.StatusCode))
	if seconds, bad := strconv.Atoi(answer.Header.Get("Retry-After")); bad == nil && seconds > 0 {
		return errors.Join(err, &backoff.RetryAfterError{Duration: min(time.Duration(seconds)*time.Second, maxRetryAfter)})
	}
	return err
}

// Signature is the value of the header Onepx-Signature: t, the moment of sending in Unix seconds, and v1, the HMAC-SHA256 in
// lower-case hex of t, a point and the body, by the secret's bytes. So whoever has the secret can tell who has sent a body, and
// when.
func Signature(secret settings.Secret, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	_, _ = mac.Write([]byte(t + "."))
	_, _ = mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
