package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/jobs"
	"github.com/onepx/onepx/services/shared/personal"
	"github.com/onepx/onepx/services/shared/suppression"
	"github.com/onepx/onepx/services/shared/userkey"
)

const (
	erasures = "/v1/sites/shop/privacy/erasures"
	access   = "/v1/sites/shop/privacy/access"
	links    = "/v1/sites/shop/privacy/links"
)

func about(visitors ...uuid.UUID) string {
	text, _ := json.Marshal(map[string]any{"visitors": visitors})
	return string(text)
}

// erased asks for an erasure and returns its id.
func (w *world) erased(body string) uuid.UUID {
	w.t.Helper()
	answer := w.post(privacyKey, erasures, body)
	require.Equal(w.t, http.StatusAccepted, answer.status, answer.body)
	var got struct{ ID uuid.UUID }
	require.NoError(w.t, json.Unmarshal([]byte(answer.body), &got))
	require.Equal(w.t, erasures+"/"+got.ID.String(), answer.header.Get("Location"))
	return got.ID
}

func TestAnErasureIsAJobOfTheKeysSite(t *testing.T) {
	w := newWorld(t)
	user, recipient := uuid.New(), uuid.New()
	id := w.erased(fmt.Sprintf(`{"visitors":["%s","%s"],"users":["%s"],"recipients":["%s"],"uids":[" Anna@Example.com"]}`, visitor(1), visitor(1), user, recipient))
	key := userkey.New(secret).Of("shop", "anna@example.com")
	require.Equal(t, []jobs.Job{{
		ID: id, Kind: jobs.Erase, Site: "shop", AskedBy: "key shop/dpo", AskedAt: now,
		People: jobs.People{Visitors: []uuid.UUID{visitor(1)}, Users: []uuid.UUID{user, uuid.UUID(key)}, Recipients: []uuid.UUID{recipient}},
	}}, w.written)
	require.NoError(t, w.written[0].Validate())
	require.NotContains(t, w.log.String(), "nna")
}

func TestAnErasureOfAnUnknownIDAndOfAnothersIsAnsweredAlike(t *testing.T) {
	w := newWorld(t)
	w.erased(about(visitor(1)))
	w.else_ = []personal.Elsewhere{{Kind: suppression.Visitor, ID: visitor(2)}} // a visitor of the blog alone
	w.erased(about(visitor(2)))
	w.else_[0].Here = true // of both
	refused := w.post(privacyKey, erasures, about(visitor(2), visitor(3)))
	require.Equal(t, http.StatusConflict, refused.status)
	require.Contains(t, refused.problem(t), "1 of the ids hold data of other sites too")
	require.NotContains(t, refused.body, visitor(2).String())
	require.Len(t, w.written, 2)
}

func TestHowFarAnErasureHasCome(t *testing.T) {
	w := newWorld(t)
	id := w.erased(about(visitor(1)))
	path := erasures + "/" + id.String()
	require.JSONEq(t, `{"id":"`+id.String()+`","step":"waiting"}`, w.get(privacyKey, path).body)
	request := personal.Request{ID: id, Kind: "erase", Step: personal.StepFound, AskedAt: now, DoneAt: now.Add(time.Second)}
	w.requests[id] = request
	require.JSONEq(t, `{"id":"`+id.String()+`","step":"found","asked_at":"2026-11-26T12:00:00Z","done_at":"2026-11-26T12:00:01Z"}`, w.get(privacyKey, path).body)
	request.Step, request.ErasedUntil, request.KafkaExpiresAt, request.SpoolExpiresAt = personal.RequestDone, now, now, now
	w.requests[id] = request
	const at = `"2026-11-26T12:00:00Z"`
	require.JSONEq(t, `{"id":"`+id.String()+`","step":"done","asked_at":`+at+`,"done_at":"2026-11-26T12:00:01Z","erased_until":`+at+`,"kafka_expires_at":`+at+`,"spool_expires_at":`+at+`,
		"tables":[{"table":"events","before":3,"after":0},{"table":"touches","before":1,"after":0}]}`, w.get(privacyKey, path).body)

	other := uuid.New() // of the operator, or of another site
	request.ID = other
	w.requests[other] = request
	require.Equal(t, http.StatusNotFound, w.get(privacyKey, erasures+"/"+other.String()).status)
	require.Equal(t, http.StatusNotFound, w.get(blogKey, "/v1/sites/blog/privacy/erasures/"+id.String()).status)
}

func TestAccessIsLoggedFirstAndThenHasEveryRow(t *testing.T) {
	w := newWorld(t)
	for i := range 1000 {
		w.rows = append(w.rows, fmt.Sprintf(`{"n":%d,"url":"https://shop.example/?a=1&b=<2>"}`, i))
	}
	answer := w.post(privacyKey, access, about(visitor(1)))
	require.Equal(t, http.StatusOK, answer.status)
	require.Equal(t, "application/x-ndjson", answer.header.Get("Content-Type"))
	require.Equal(t, "no-store", answer.header.Get("Cache-Control"))
	lines := strings.Split(strings.TrimSpace(answer.body), "\n")
	require.Len(t, lines, 1000)
	require.Equal(t, `{"table":"events","row":{"n":0,"url":"https://shop.example/?a=1&b=<2>"}}`, lines[0])
	require.Equal(t, []string{"export shop"}, w.asked)
	require.Len(t, w.written, 1)
	require.Equal(t, jobs.Access, w.written[0].Kind)

	w.err = errors.New("kafka is away")
	refused := w.post(privacyKey, access, about(visitor(1)))
	require.Equal(t, http.StatusServiceUnavailable, refused.status)
	require.Len(t, w.asked, 1, "what can't be logged is not handed out")
}

func TestAnAccessThatCannotBeBegunIsRefusedAndOneThatCannotBeFinishedCutOff(t *testing.T) {
	w := newWorld(t)
	w.broken = errors.New("away")
	refused := w.post(privacyKey, access, about(visitor(1)))
	require.Equal(t, http.StatusServiceUnavailable, refused.status)
	require.Equal(t, "1", refused.header.Get("Retry-After"))
	refused.problem(t)
	for range 1000 {
		w.rows = append(w.rows, `{"n":1}`)
	}
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { w.post(privacyKey, access, about(visitor(1))) })
}

func TestLinksAreShown(t *testing.T) {
	w := newWorld(t)
	w.links = []personal.Link{{Kind: suppression.Visitor, ID: visitor(7), Events: 3, Users: 2}}
	answer := w.post(privacyKey, links, `{"uids":["anna@example.com"]}`)
	require.JSONEq(t, `{"held":[{"table":"events","rows":3}],"links":[{"kind":"visitor","id":"`+visitor(7).String()+`","events":3,"users":2}]}`, answer.body)
	require.Empty(t, w.written)
}

func TestWhomARequestCannotBeAbout(t *testing.T) {
	w := newWorld(t)
	many := make([]uuid.UUID, 10_000)
	for i := range many {
		many[i] = uuid.New()
	}
	whole := about(many...)
	for name, test := range map[string]struct{ body, want string }{
		"nobody":                  {`{}`, "body there are 0 ids"},
		"no body":                 {``, "request body is required"},
		"an empty uid":            {`{"uids":["a","  "]}`, "body.uids one of them is empty"},
		"no JSON":                 {`{"uids":["anna@example.com"`, ""},
		"an id that is none":      {`{"visitors":["anna@example.com"]}`, "body"},
		"the id of all":           {`{"users":["00000000-0000-0000-0000-000000000000"]}`, ""},
		"a number":                {`{"visitors":[5]}`, "body.visitors[0]"},
		"what there is not":       {`{"emails":["anna@example.com"]}`, "body.emails unexpected property"},
		"ids of two kinds, 10001": {strings.TrimSuffix(whole, "}") + `,"uids":["a"]}`, "body there are 10001 ids"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{erasures, access, links} {
				answer := w.post(privacyKey, path, test.body)
				require.Contains(t, []int{http.StatusUnprocessableEntity, http.StatusBadRequest}, answer.status, answer.body)
				require.Contains(t, answer.problem(t), test.want)
				require.NotContains(t, answer.body, "anna")
			}
		})
	}
	require.Equal(t, http.StatusRequestEntityTooLarge, w.post(privacyKey, links, `{"uids":["`+strings.Repeat("a", 2<<20)+`"]}`).status)
	require.Empty(t, w.written)
	require.Empty(t, w.asked)
	require.Equal(t, http.StatusAccepted, w.post(privacyKey, erasures, whole).status)
}
