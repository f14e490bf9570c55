package api

import (
	"context"
	"encoding/binary"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/console/internal/store"
	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/suppression"
)

// Unsubscribes are the recipients who want no more mail (store.Store).
type Unsubscribes interface {
	// Unsubscribes returns those of a site behind a sequence, in its order, at most limit.
	Unsubscribes(ctx context.Context, site string, after uint64, limit int) ([]store.Unsubscribe, error)
}

type unsubscribesInput struct {
	Limit  int    `query:"limit" default:"1000" minimum:"1" maximum:"10000" doc:"Unsubscribes in a page, at most."`
	Cursor string `query:"cursor" maxLength:"1024" doc:"Where the page begins: next of the page before, however old. Without it, at the oldest that is kept."`
}

type unsubscribe struct {
	ID           uuid.UUID `json:"id" format:"uuid" doc:"Of the event: leave out what you have had."`
	RecipientKey uuid.UUID `json:"recipient_key" format:"uuid" doc:"Made of the address by ONEPX_SECRET; rewriting makes the same one."`
	Cause        string    `json:"cause" enum:"unsubscribed,complained" doc:"Complained: the recipient has reported a mail as spam."`
	Campaign     string    `json:"campaign,omitempty"`
	Message      string    `json:"message,omitempty"`
	At           time.Time `json:"at" doc:"When it happened."`
}

type unsubscribesOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         struct {
		Unsubscribes []unsubscribe `json:"unsubscribes" doc:"In the order in which they were found. May be fewer than limit though there is more."`
		Next         string        `json:"next" doc:"Cursor of what comes then. Keep it, and ask by it for what is new."`
		More         bool          `json:"more" doc:"There is more at once."`
	}
}

func (s *Server) registerUnsubscribes() {
	op := operation("list-unsubscribes", http.MethodGet, "", siteconfig.RightMail, "Who wants no more mail",
		"Of the site of the key, in pages that can be followed for ever: none is missed while a replica lags by less than 5 s, and one that is listed twice has the same id. It is there within a minute of the wish.")
	op.Path = "/v1/mail/unsubscribes"
	register(s, op, s.listUnsubscribes)
}

func (s *Server) listUnsubscribes(ctx context.Context, in *unsubscribesInput) (*unsubscribesOutput, error) {
	out := &unsubscribesOutput{CacheControl: "no-store"}
	return out, s.ask(ctx, func(ctx context.Context) error {
		site := callerOf(ctx).site.ID
		use, after := "unsubscribes\x00"+site, uint64(0)
		if in.Cursor != "" {
			content, err := s.deps.Sealer.Open(in.Cursor, use)
			if err != nil || len(content) != 8 {
				return errInvalid("query.cursor", "is not one that the unsubscribes of this site have given")
			}
			after = binary.BigEndian.Uint64(content)
		}
		page, err := s.deps.Unsubscribes.Unsubscribes(ctx, site, after, in.Limit)
		if err != nil {
			return err
		}
		out.Body.Unsubscribes = []unsubscribe{}
		for _, u := range page {
			after = u.Sequence
			if !s.deps.Suppressions.Erased(suppression.Recipient, u.RecipientKey[:], u.FoundAt) {
				out.Body.Unsubscribes = append(out.Body.Unsubscribes, unsubscribe{u.EventID, u.RecipientKey, u.Cause, u.Campaign, u.Message, u.OccurredAt.UTC()})
			}
		}
		out.Body.Next = s.deps.Sealer.Seal(binary.BigEndian.AppendUint64(nil, after), use)
		out.Body.More = len(page) == in.Limit
		return nil
	})
}
