package api

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/jobs"
	"github.com/onepx/onepx/services/shared/personal"
	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/suppression"
)

// People knows what is stored about people on one site; see personal.Store.
type People interface {
	Count(ctx context.Context, people jobs.People) ([]personal.Held, error)
	Links(ctx context.Context, people jobs.People) ([]personal.Link, error)
	Elsewhere(ctx context.Context, people jobs.People) ([]personal.Elsewhere, error)
	Export(ctx context.Context, people jobs.People, yield func(table, row string) error) error
}

// Jobs takes what changes data.
type Jobs interface {
	// Write returns when the job is sure to be done.
	Write(ctx context.Context, job jobs.Job) error
}

// peopleBody says whom a request is about.
type peopleBody struct {
	Visitors   []ID     `json:"visitors,omitempty" maxItems:"10000" doc:"Ids of visitors, as in column visitor_id."`
	Users      []ID     `json:"users,omitempty" maxItems:"10000" doc:"Keys of customers, as in column user_key."`
	Recipients []ID     `json:"recipients,omitempty" maxItems:"10000" doc:"Keys of recipients of e-mails, as in column recipient_key."`
	UIDs       []string `json:"uids,omitempty" maxItems:"10000" doc:"Customer ids or e-mail addresses, as the site sends them in uid. They are hashed in memory, and neither stored nor logged." example:"[\"customer-77\"]"`
}

type peopleInput struct {
	SiteInput
	Body peopleBody
}

// people are those of a request, each once.
func (s *Server) people(in *peopleInput) (jobs.People, error) {
	var people jobs.People
	type known struct {
		kind suppression.Kind
		id   uuid.UUID
	}
	seen := map[known]bool{}
	add := func(kind suppression.Kind, id uuid.UUID) {
		if !seen[known{kind, id}] {
			seen[known{kind, id}] = true
			people.Append(kind, id)
		}
	}
	for _, of := range []struct {
		kind suppression.Kind
		ids  []ID
	}{{suppression.Visitor, in.Body.Visitors}, {suppression.User, in.Body.Users}, {suppression.Recipient, in.Body.Recipients}} {
		for _, id := range of.ids {
			add(of.kind, uuid.UUID(id))
		}
	}
	for _, text := range in.Body.UIDs {
		key := s.deps.UserKey(in.Site, text)
		if key == nil {
			return jobs.People{}, errInvalid("body.uids", "one of them is empty")
		}
		add(suppression.User, uuid.UUID(key))
	}
	if err := people.Validate(); err != nil {
		return jobs.People{}, errInvalid("body", err.Error())
	}
	return people, nil
}

type held struct {
	Table string `json:"table" example:"events"`
	Rows  uint64 `json:"rows"`
}

type link struct {
	Kind   suppression.Kind `json:"kind" enum:"visitor,user,recipient" doc:"visitor, user or recipient."`
	ID     uuid.UUID        `json:"id" format:"uuid"`
	Events uint64           `json:"events" doc:"In how many events it stands together with one that was asked for."`
	Users  uint64           `json:"users" doc:"How many customers' keys a visitor has in all: with more than one it is a device that people share."`
}

type linksOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         struct {
		Held  []held `json:"held" doc:"How many rows of the site hold one of the ids, by table."`
		Links []link `json:"links" doc:"Ids that stand in the same event as one that was asked for. Look at them before you erase them too."`
	}
}

func (s *Server) registerPeople() {
	links := operation("list-links", http.MethodPost, "/privacy/links", siteconfig.RightPrivacy, "What is stored about people, and which ids are linked", "Changes nothing.")
	register(s, links, s.links)
	access := operation("access", http.MethodPost, "/privacy/access", siteconfig.RightPrivacy, "Everything that is stored about people on the site",
		"NDJSON: one line for each row of each table that holds one of the ids. The request is logged, with the name of the key. An answer that is cut off is not whole.")
	access.Responses = map[string]*huma.Response{"200": {
		Description: "Lines like {\"table\":\"events\",\"row\":{…}}.", Content: map[string]*huma.MediaType{ndjson: {Schema: &huma.Schema{Type: huma.TypeString}}},
	}}
	register(s, access, s.access)
}

func (s *Server) links(ctx context.Context, in *peopleInput) (*linksOutput, error) {
	people, err := s.people(in)
	if err != nil {
		return nil, err
	}
	out := &linksOutput{CacheControl: "no-store"}
	out.Body.Held, out.Body.Links = []held{}, []link{}
	return out, s.ask(ctx, func(ctx context.Context) error {
		counts, err := s.deps.People(in.Site).Count(ctx, people)
		if err != nil {
			return err
		}
		links, err := s.deps.People(in.Site).Links(ctx, people)
		for _, c := range counts {
			out.Body.Held = append(out.Body.Held, held(c))
		}
		for _, l := range links {
			out.Body.Links = append(out.Body.Links, link(l))
		}
		return err
	})
}

const ndjson = "application/x-ndjson"

// heldLine is one line of an access, as `consumer privacy access` prints it.
type heldLine struct {
	Table string          `json:"table"`
	Row   json.RawMessage `json:"row"`
}

// accessTime bounds an access, which may be long.
const accessTime = 10 * time.Minute

// access logs the request, and then writes all rows as they come.
func (s *Server) access(ctx context.Context, in *peopleInput) (*huma.StreamResponse, error) {
	people, err := s.people(in)
	if err != nil {
		return nil, err
	}
	if err := s.write(ctx, s.job(ctx, jobs.Access, people)); err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) { s.stream(ctx, in.Site, people) }}, nil
}

// stream writes all rows of the people. When the database does not answer before the first is written, the caller is told so;
// after that the answer can only be cut off.
func (s *Server) stream(ctx huma.Context, site string, people jobs.People) {
	select {
	case s.queries <- struct{}{}:
		defer func() { <-s.queries }()
	default:
		s.refuseNow(ctx, busy)
		return
	}
	limited, cancel := context.WithTimeout(ctx.Context(), accessTime)
	defer cancel()
	response := humaecho.Unwrap(ctx).Response()
	_ = http.NewResponseController(response).SetWriteDeadline(time.Now().Add(accessTime + writeMargin)) // a recorder of a test has none
	body := &lines{ctx: ctx}
	out := bufio.NewWriter(body)
	rows := json.NewEncoder(out)
	rows.SetEscapeHTML(false)
	err := s.deps.People(site).Export(limited, people, func(table, row string) error {
		return rows.Encode(heldLine{table, json.RawMessage(row)})
	})
	if err == nil {
		body.begin() // also of nobody
		err = out.Flush()
	}
	switch {
	case err == nil:
		s.outage.Recovered()
	case body.begun:
		s.outage.Failed(clickhouseconn.Discreet(err))
		panic(http.ErrAbortHandler)
	default:
		s.outage.Failed(clickhouseconn.Discreet(err))
		s.refuseNow(ctx, away)
	}
}

// lines is a body of NDJSON that begins with its first byte.
type lines struct {
	ctx   huma.Context
	begun bool
}

func (l *lines) begin() {
	if l.begun {
		return
	}
	l.begun = true
	l.ctx.SetHeader("Content-Type", ndjson)
	l.ctx.SetHeader("Cache-Control", "no-store")
	l.ctx.SetStatus(http.StatusOK)
}

// Write begins the body if it has not begun.
func (l *lines) Write(p []byte) (int, error) {
	l.begin()
	return l.ctx.BodyWriter().Write(p)
}
