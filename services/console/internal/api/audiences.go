package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/console/internal/store"
	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/suppression"
)

// Audiences knows the audiences of sites; see store.Store.
type Audiences interface {
	// Audiences returns those of a site, only the one called segment unless that is "".
	Audiences(ctx context.Context, site, segment string) ([]store.Audience, error)
	Size(ctx context.Context, site string, audience store.Audience, at time.Time) (store.Size, error)
	// Members returns at most limit members after a visitor, in the order of their ids.
	Members(ctx context.Context, site, segment, version string, at time.Time, after uuid.UUID, limit int) ([]store.Member, error)
	// Sizes returns the days of an audience, both ends included.
	Sizes(ctx context.Context, site string, audience store.Audience, from, to time.Time) ([]store.Day, error)
	Explain(ctx context.Context, site, segment string, visitor uuid.UUID, at time.Time) ([]store.Step, error)
	// Preview judges the stored events by a rule that is not in force.
	Preview(ctx context.Context, site *siteconfig.Site, rule siteconfig.Segment, now time.Time, days int) (store.Preview, error)
}

// Suppressions knows whom nothing may be said of.
type Suppressions interface {
	// Withheld tells whether nothing that was read of the visitor at the moment may be said now.
	Withheld(visitor []byte, moment time.Time) bool
	// Erased tells whether what was received of somebody at the moment is erased, or about to be.
	Erased(kind suppression.Kind, id []byte, moment time.Time) bool
}

// Audience is a segment that is in force.
type Audience struct {
	ID      string    `json:"id" example:"cart_abandoners"`
	Name    string    `json:"name,omitempty" example:"In the cart, not bought"`
	Version string    `json:"version" doc:"Of the rule's conditions: another one has other members." example:"9f86d081884c"`
	Since   time.Time `json:"since" doc:"When the rule was taken over as it is."`
	Lives   string    `json:"lives" doc:"How long a membership lasts without a new event." example:"720h0m0s"`
	Holdout float64   `json:"holdout" doc:"Percent of the visitors who are held out, to compare with." example:"10"`
}

func audienceOf(a store.Audience) Audience {
	return Audience{
		ID: a.Segment, Name: a.Name, Version: a.Version, Since: a.SavedAt.UTC(),
		Lives: (time.Duration(a.LivesMs) * time.Millisecond).String(), Holdout: float64(a.HoldoutPermille) / 10,
	}
}

// SiteInput is the part of a path that all operations have.
type SiteInput struct {
	Site string `path:"site" doc:"Id of the site." example:"shop"`
}

// AudienceInput is the part of a path that names an audience.
type AudienceInput struct {
	SiteInput
	ID string `path:"audience" pattern:"^[a-z0-9][a-z0-9_-]{0,63}$" doc:"Id of the audience." example:"cart_abandoners"`
}

type audiencesOutput struct {
	Body struct {
		Audiences []Audience `json:"audiences"`
	}
}

type audienceOutput struct {
	Body struct {
		Audience
		Rule    json.RawMessage `json:"rule,omitempty" doc:"The rule as onepx.yaml has it."`
		Members uint64          `json:"members" doc:"Visitors in it now, without those held out."`
		Minted  uint64          `json:"minted" doc:"Those of the members whose browser has never sent the id back: they may be fewer people."`
		HeldOut uint64          `json:"held_out" doc:"Visitors who would be in it and are held out."`
	}
}

type sizesInput struct {
	AudienceInput
	From string `query:"from" required:"true" format:"date" doc:"First day, in the site's time zone." example:"2026-11-01"`
	To   string `query:"to" required:"true" format:"date" doc:"Last day." example:"2026-11-30"`
}

type audienceDay struct {
	Day      string `json:"day" format:"date"`
	Members  uint64 `json:"members" doc:"Members at the end of the day, or now."`
	Minted   uint64 `json:"minted"`
	Enters   uint64 `json:"enters" doc:"How many came in."`
	Exits    uint64 `json:"exits" doc:"How many went out: left, refused, or did it too often."`
	Expiries uint64 `json:"expiries" doc:"How many had been in for as long as they may."`
}

type sizesOutput struct {
	Body struct {
		Version string        `json:"version"`
		Days    []audienceDay `json:"days"`
	}
}

type explainInput struct {
	AudienceInput
	Visitor ID `path:"visitor" doc:"Id of the visitor." example:"0190b5ad-3c2e-7b1f-9d6a-5b0e3f1c2d4a"`
}

type explainStep struct {
	At        time.Time `json:"at"`
	EventID   uuid.UUID `json:"event_id" format:"uuid"`
	Step      string    `json:"step" doc:"Which condition of the rule held; refusal: the visitor refused audiences." enum:"enter,leave,then,refusal" example:"enter"`
	Product   string    `json:"product,omitempty"`
	Counted   bool      `json:"counted" doc:"Whether it is one of the enters that are counted."`
	Note      string    `json:"note" doc:"What it is worth: a word of docs/audiences.md." example:"lets_in"`
	Consent   []string  `json:"consent" doc:"What the event allowed, of measure, profile, share and cookie."`
	DecidedBy string    `json:"decided_by,omitempty" doc:"The signal that said so: a word of docs/privacy.md." example:"tcf"`
}

type explainOutput struct {
	Body struct {
		Steps []explainStep `json:"steps" doc:"What the visitor did that matters for the audience, in order; empty for unknown visitors."`
	}
}

func (s *Server) registerAudiences() {
	const right = siteconfig.RightAudiences
	register(s, operation("list-audiences", http.MethodGet, "/audiences", right, "The audiences of the site", ""), s.listAudiences)
	register(s, operation("get-audience", http.MethodGet, "/audiences/{audience}", right, "An audience, its rule and its size now", ""), s.getAudience)
	register(s, operation("get-audience-sizes", http.MethodGet, "/audiences/{audience}/sizes", right, "Size of an audience by day",
		"Every day of the range has an entry; the range has at most 400 days."), s.audienceSizes)
	register(s, operation("explain-audience", http.MethodGet, "/audiences/{audience}/explain/{visitor}", right, "Why is a visitor in an audience, or not?", ""), s.explainAudience)
}

func (s *Server) listAudiences(ctx context.Context, in *SiteInput) (*audiencesOutput, error) {
	out := &audiencesOutput{}
	out.Body.Audiences = []Audience{}
	return out, s.ask(ctx, func(ctx context.Context) error {
		all, err := s.deps.Audiences.Audiences(ctx, in.Site, "")
		for _, a := range all {
			out.Body.Audiences = append(out.Body.Audiences, audienceOf(a))
		}
		return err
	})
}

// audience returns the audience of that id, or errNotFound.
func (s *Server) audience(ctx context.Context, in AudienceInput) (store.Audience, error) {
	found, err := s.deps.Audiences.Audiences(ctx, in.Site, in.ID)
	if err != nil {
		return store.Audience{}, err
	}
	if len(found) == 0 {
		return store.Audience{}, errNotFound()
	}
	return found[0], nil
}

func (s *Server) getAudience(ctx context.Context, in *AudienceInput) (*audienceOutput, error) {
	out := &audienceOutput{}
	return out, s.ask(ctx, func(ctx context.Context) error {
		a, err := s.audience(ctx, *in)
		if err != nil {
			return err
		}
		size, err := s.deps.Audiences.Size(ctx, in.Site, a, s.deps.Now())
		out.Body.Audience, out.Body.Rule = audienceOf(a), a.RuleJSON()
		out.Body.Members, out.Body.Minted, out.Body.HeldOut = size.Members, size.Minted, size.HeldOut
		return err
	})
}

// maxDays is how many days one question about sizes may span: more than a year.
const maxDays = 400

func (s *Server) audienceSizes(ctx context.Context, in *sizesInput) (*sizesOutput, error) {
	from, errFrom := time.Parse(time.DateOnly, in.From)
	to, errTo := time.Parse(time.DateOnly, in.To)
	switch {
	case errFrom != nil:
		return nil, errInvalid("query.from", "is not a day such as 2026-11-30")
	case errTo != nil:
		return nil, errInvalid("query.to", "is not a day such as 2026-11-30")
	case to.Before(from):
		return nil, errInvalid("query.to", "is before from")
	case to.Sub(from) >= maxDays*24*time.Hour:
		return nil, errInvalid("query.from", fmt.Sprintf("more than %d days before to", maxDays))
	}
	out := &sizesOutput{}
	return out, s.ask(ctx, func(ctx context.Context) error {
		a, err := s.audience(ctx, in.AudienceInput)
		if err != nil {
			return err
		}
		days, err := s.deps.Audiences.Sizes(ctx, in.Site, a, from, to)
		out.Body.Version, out.Body.Days = a.Version, daysOf(days)
		return err
	})
}

func daysOf(days []store.Day) []audienceDay {
	all := make([]audienceDay, len(days))
	for i, d := range days {
		all[i] = audienceDay{Day: d.Day.Format(time.DateOnly), Members: d.Members, Minted: d.Minted, Enters: d.Enters, Exits: d.Exits, Expiries: d.Expiries}
	}
	return all
}

func (s *Server) explainAudience(ctx context.Context, in *explainInput) (*explainOutput, error) {
	out := &explainOutput{}
	out.Body.Steps = []explainStep{}
	return out, s.ask(ctx, func(ctx context.Context) error {
		if _, err := s.audience(ctx, in.AudienceInput); err != nil {
			return err
		}
		now := s.deps.Now()
		steps, err := s.deps.Audiences.Explain(ctx, in.Site, in.ID, uuid.UUID(in.Visitor), now)
		if s.suppressed(uuid.UUID(in.Visitor), now) {
			steps = nil
		}
		for _, e := range steps {
			out.Body.Steps = append(out.Body.Steps, explainStep{
				At: e.At.UTC(), EventID: e.EventID, Step: e.Step, Product: e.Product, Counted: e.Counted, Note: e.Note, Consent: e.Consent, DecidedBy: e.DecidedBy,
			})
		}
		return err
	})
}

// suppressed tells whether nothing may be said of the visitor.
func (s *Server) suppressed(visitor uuid.UUID, at time.Time) bool {
	return s.deps.Suppressions.Withheld(visitor[:], at)
}
