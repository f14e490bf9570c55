package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/console/internal/store"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

type membersInput struct {
	AudienceInput
	Limit  int    `query:"limit" default:"1000" minimum:"1" maximum:"10000" doc:"Members in a page, at most."`
	Cursor string `query:"cursor" maxLength:"1024" doc:"Where the page begins: next of the page before. Without it, at the beginning."`
}

type member struct {
	Visitor     uuid.UUID `json:"visitor" format:"uuid"`
	Products    []string  `json:"products,omitempty" doc:"Ids of the products to show, the best first."`
	QualifiedAt time.Time `json:"qualified_at" doc:"The newest event that keeps the visitor in."`
	EndsAt      time.Time `json:"ends_at" doc:"Until when the visitor stays in, unless something happens before."`
	Minted      bool      `json:"minted,omitempty" doc:"The visitor's browser has never sent the id back."`
}

type membersOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         struct {
		Version string    `json:"version" doc:"Of the rule; the same in all pages."`
		At      time.Time `json:"at" doc:"The instant of which the members are; the same in all pages."`
		Members []member  `json:"members" doc:"In the order of their ids, without those held out. May be fewer than limit before the last page."`
		Next    string    `json:"next,omitempty" doc:"Cursor of the next page; not there in the last one."`
	}
}

// cursor is where a page of members begins. All pages are of one instant and one version.
type cursor struct {
	Version string    `json:"v"`
	At      int64     `json:"t"` // ms since 1970
	After   uuid.UUID `json:"a"`
}

// maxCursorAge is how long after the first page the others can be had: what is stored about that instant changes by
// erasures and retention.
const maxCursorAge = 24 * time.Hour

func (s *Server) registerMembers() {
	register(s, operation("list-audience-members", http.MethodGet, "/audiences/{audience}/members", siteconfig.RightAudiences, "Who is in an audience, in pages",
		"The pages show one instant, whatever happens meanwhile; who is erased or wishes not to be counted meanwhile is left out at once. A cursor lives 24 hours."), s.listMembers)
}

func (s *Server) listMembers(ctx context.Context, in *membersInput) (*membersOutput, error) {
	out := &membersOutput{CacheControl: "no-store"}
	return out, s.ask(ctx, func(ctx context.Context) error {
		from, err := s.begin(ctx, in)
		if err != nil {
			return err
		}
		page, err := s.deps.Audiences.Members(ctx, in.Site, in.ID, from.Version, time.UnixMilli(from.At), from.After, in.Limit)
		if err != nil {
			return err
		}
		out.Body.Version, out.Body.At, out.Body.Members = from.Version, time.UnixMilli(from.At).UTC(), s.tellable(page, s.deps.Now())
		if len(page) == in.Limit {
			from.After = page[len(page)-1].Visitor
			out.Body.Next = s.sealCursor(in.AudienceInput, from)
		}
		return nil
	})
}

// tellable are those of the members of whom something may be said.
func (s *Server) tellable(members []store.Member, now time.Time) []member {
	all := []member{}
	for _, m := range members {
		if !s.suppressed(m.Visitor, now) {
			all = append(all, member{m.Visitor, m.Products, m.QualifiedAt.UTC(), m.EndsAt.UTC(), m.Minted})
		}
	}
	return all
}

// begin is where the page begins.
func (s *Server) begin(ctx context.Context, in *membersInput) (cursor, error) {
	if in.Cursor != "" {
		return s.openCursor(in.AudienceInput, in.Cursor)
	}
	a, err := s.audience(ctx, in.AudienceInput)
	return cursor{Version: a.Version, At: s.deps.Now().UnixMilli()}, err
}

// use is what the cursors of an audience are for.
func (in AudienceInput) use() string { return "members\x00" + in.Site + "\x00" + in.ID }

func (s *Server) sealCursor(in AudienceInput, c cursor) string {
	content, _ := json.Marshal(c) // nothing in it can fail
	return s.deps.Sealer.Seal(content, in.use())
}

func (s *Server) openCursor(in AudienceInput, text string) (cursor, error) {
	var c cursor
	content, err := s.deps.Sealer.Open(text, in.use())
	if err == nil {
		err = json.Unmarshal(content, &c)
	}
	if err != nil {
		return cursor{}, errInvalid("query.cursor", "is not one that this audience's pages have given")
	}
	if age := s.deps.Now().Sub(time.UnixMilli(c.At)); age > maxCursorAge {
		return cursor{}, errInvalid("query.cursor", "is older than 24 hours; begin again")
	}
	return c, nil
}
