package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/jobs"
	"github.com/onepx/onepx/services/shared/personal"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// Requests knows how far privacy requests have come; see personal.Requests.
type Requests interface {
	Last(ctx context.Context, id uuid.UUID) (personal.Request, bool, error)
	Counts(ctx context.Context, id uuid.UUID) (before, after []personal.Held, err error)
}

type erasureInput struct {
	SiteInput
	Erasure ID `path:"erasure" doc:"Id of the erasure." example:"3f1c2d4a-9d6a-8b1f-9d6a-5b0e3f1c2d4a"`
}

type erasuresOutput struct {
	Location string `header:"Location" doc:"Where to ask how far it has come."`
	Body     struct {
		ID ID `json:"id" doc:"Id of the erasure."`
	}
}

type erasedTable struct {
	Table  string `json:"table" example:"events"`
	Before uint64 `json:"before" doc:"Rows that held one of the ids."`
	After  uint64 `json:"after"`
}

type erasureOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         struct {
		ID             ID            `json:"id"`
		Step           string        `json:"step" doc:"waiting, then the steps of docs/erasure.md up to done." example:"done"`
		AskedAt        *time.Time    `json:"asked_at,omitempty"`
		DoneAt         *time.Time    `json:"done_at,omitempty" doc:"When the step was done."`
		ErasedUntil    *time.Time    `json:"erased_until,omitempty" doc:"Erased is what was received until then."`
		KafkaExpiresAt *time.Time    `json:"kafka_expires_at,omitempty" doc:"The last copy in Kafka is gone."`
		SpoolExpiresAt *time.Time    `json:"spool_expires_at,omitempty" doc:"The last copy from a spool is gone."`
		Tables         []erasedTable `json:"tables,omitempty" doc:"The proof, when it is done: rows of each table, before and after."`
	}
}

// stepWaiting is the step of a job that nobody has begun.
const stepWaiting = "waiting"

func (s *Server) registerErasures() {
	erase := operation("erase", http.MethodPost, "/privacy/erasures", siteconfig.RightPrivacy, "Erase everything that is stored about people on the site",
		"Writes a job, which `consumer jobs` does. Ids that are not known are answered alike. Linked ids are not erased unless they are given too: see list-links. Refused with 409 when an id holds data of another site too: the operator erases it.")
	erase.DefaultStatus = http.StatusAccepted
	erase.Errors = append(erase.Errors, http.StatusConflict)
	register(s, erase, s.erase)
	register(s, operation("get-erasure", http.MethodGet, "/privacy/erasures/{erasure}", siteconfig.RightPrivacy, "How far an erasure has come, and its proof", ""), s.getErasure)
}

func (s *Server) erase(ctx context.Context, in *peopleInput) (*erasuresOutput, error) {
	people, err := s.people(in)
	if err != nil {
		return nil, err
	}
	err = s.ask(ctx, func(ctx context.Context) error {
		elsewhere, err := s.deps.People(in.Site).Elsewhere(ctx, people)
		shared := 0
		for _, id := range elsewhere {
			if id.Here { // of one that is not, it is told as little as of an unknown one
				shared++
			}
		}
		if shared > 0 {
			return huma.Error409Conflict(fmt.Sprintf("%d of the ids hold data of other sites too; ask the operator to erase them", shared))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	job := s.job(ctx, jobs.Erase, people)
	if err := s.write(ctx, job); err != nil {
		return nil, err
	}
	out := &erasuresOutput{Location: "/v1/sites/" + in.Site + "/privacy/erasures/" + job.ID.String()}
	out.Body.ID = ID(job.ID)
	return out, nil
}

// job is one of the caller's.
func (s *Server) job(ctx context.Context, kind jobs.Kind, people jobs.People) jobs.Job {
	by := callerOf(ctx)
	return jobs.Job{
		ID: s.deps.Sealer.NewID(by.site.ID), Kind: kind, Site: by.site.ID, AskedBy: "key " + by.site.ID + "/" + by.key.Name,
		AskedAt: s.deps.Now().UTC().Truncate(time.Millisecond), People: people,
	}
}

// writeTime bounds the write of a job.
const writeTime = 10 * time.Second

func (s *Server) write(ctx context.Context, job jobs.Job) error {
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	if err := s.deps.Jobs.Write(ctx, job); err != nil {
		s.outage.Failed(err)
		return errAgain("the job could not be written; try again")
	}
	return nil
}

func (s *Server) getErasure(ctx context.Context, in *erasureInput) (*erasureOutput, error) {
	id := uuid.UUID(in.Erasure)
	if !s.deps.Sealer.Owns(id, in.Site) {
		return nil, errNotFound()
	}
	out := &erasureOutput{CacheControl: "no-store"}
	out.Body.ID, out.Body.Step = in.Erasure, stepWaiting
	return out, s.ask(ctx, func(ctx context.Context) error {
		last, known, err := s.deps.Requests.Last(ctx, id)
		if err != nil || !known {
			return err
		}
		if last.Kind != string(jobs.Erase) {
			return errNotFound()
		}
		out.Body.Step, out.Body.AskedAt, out.Body.DoneAt = last.Step, &last.AskedAt, &last.DoneAt
		if last.Step != personal.RequestDone {
			return nil
		}
		out.Body.ErasedUntil, out.Body.KafkaExpiresAt, out.Body.SpoolExpiresAt = &last.ErasedUntil, &last.KafkaExpiresAt, &last.SpoolExpiresAt
		before, after, err := s.deps.Requests.Counts(ctx, id)
		left := map[string]uint64{}
		for _, h := range after {
			left[h.Table] = h.Rows
		}
		for _, h := range before {
			out.Body.Tables = append(out.Body.Tables, erasedTable{h.Table, h.Rows, left[h.Table]})
		}
		return err
	})
}
