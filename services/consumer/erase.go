package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/jobs"
	"github.com/onepx/onepx/services/shared/kafkaconn"
	"github.com/onepx/onepx/services/shared/personal"
)

// privacyEraseCmd are the settings of `consumer privacy erase`.
type privacyEraseCmd struct {
	Kafka          kafkaconn.Settings `embed:"" prefix:"kafka-"`
	ClickHouse     store.Settings     `embed:"" prefix:"clickhouse-"`
	peopleSettings `embed:""`

	AskedBy    string `required:"" placeholder:"TEXT" help:"Who answers for the request, such as a ticket: it is logged for ever. Never the person whom it is about."`
	WithLinked bool   `help:"Erase the linked ids too. Look at them first: a visitor with several user keys is a device that people share."`
	Yes        bool   `help:"Erase; without it is only shown what would be erased."`
}

// Validate checks bounds.
func (c *privacyEraseCmd) Validate() error {
	return errors.Join(c.Kafka.Validate(), c.ClickHouse.Validate())
}

// Run is `consumer privacy erase`: it writes the job and follows it to its end. When it is stopped the job goes on.
func (c *privacyEraseCmd) Run(ctx context.Context, k *kong.Kong) error {
	people, err := c.people()
	if err != nil {
		return err
	}
	return withPrivacy(ctx, c.ClickHouse, func(held *personal.Store, requests *personal.Requests) error {
		links, err := show(ctx, k.Stdout, held, people)
		if err != nil {
			return err
		}
		if c.WithLinked {
			for _, l := range links {
				people.Add(l.Kind, l.ID)
			}
		}
		job := jobs.Job{ID: uuid.New(), Kind: jobs.Erase, AskedBy: c.AskedBy, AskedAt: time.Now().UTC().Truncate(time.Millisecond), People: people}
		message, err := job.Message()
		if err != nil {
			return err
		}
		if !c.Yes {
			fmt.Fprintf(k.Stdout, "%d ids would be erased; repeat with --yes\n", people.Len())
			return nil
		}
		if err := c.write(ctx, message); err != nil {
			return err
		}
		fmt.Fprintf(k.Stdout, "request %s: %d ids\n", job.ID, people.Len())
		return follow(ctx, k.Stdout, requests, job.ID)
	})
}

func (c *privacyEraseCmd) write(ctx context.Context, message kafka.Message) error {
	client, err := c.Kafka.Client()
	if err != nil {
		return err
	}
	defer kafkaconn.Close(client)
	if _, err := requireTopic(ctx, client, eventlog.TopicJobs); err != nil {
		return err
	}
	_, err = kafkaconn.Produce(ctx, client, eventlog.TopicJobs, []kafka.Message{message})
	return err
}

// followEvery is the pause between two looks at a request.
const followEvery = 200 * time.Millisecond

// follow prints the steps of a request until it is done, and then its proof.
func follow(ctx context.Context, out io.Writer, requests *personal.Requests, id uuid.UUID) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for said := ""; ; {
		request, known, err := requests.Last(ctx, id)
		if err != nil {
			return err
		}
		if known && request.Step != said {
			said = request.Step
			fmt.Fprintf(out, "%s %s\n", request.DoneAt.Format(time.RFC3339), said)
		}
		if said == personal.RequestDone {
			return prove(ctx, out, requests, request)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the job goes on; `consumer privacy status %s` shows it: %w", id, ctx.Err())
		case <-tick.C:
		}
	}
}

// prove prints the proof of a request.
func prove(ctx context.Context, out io.Writer, requests *personal.Requests, request personal.Request) error {
	before, after, err := requests.Counts(ctx, request.ID)
	if err != nil {
		return err
	}
	left := map[string]uint64{}
	for _, h := range after {
		left[h.Table] = h.Rows
	}
	lines := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(lines, "table\trows before\tafter")
	for _, h := range before {
		_, _ = fmt.Fprintf(lines, "%s\t%d\t%d\n", h.Table, h.Rows, left[h.Table])
	}
	_ = lines.Flush()
	fmt.Fprintf(out, "erased is what was received until %s; copies in Kafka are gone by %s, and by %s if a spool held some\n",
		request.ErasedUntil.Format(time.RFC3339), request.KafkaExpiresAt.Format(time.RFC3339), request.SpoolExpiresAt.Format(time.RFC3339))
	return nil
}

// privacyStatusCmd are the settings of `consumer privacy status`.
type privacyStatusCmd struct {
	ClickHouse store.Settings `embed:"" prefix:"clickhouse-"`

	Request *uuid.UUID `arg:"" optional:"" help:"Only this request, with its proof."`
}

// Validate checks bounds.
func (c *privacyStatusCmd) Validate() error { return c.ClickHouse.Validate() }

// Run is `consumer privacy status`.
func (c *privacyStatusCmd) Run(ctx context.Context, k *kong.Kong) error {
	return withPrivacy(ctx, c.ClickHouse, func(_ *personal.Store, requests *personal.Requests) error {
		all, err := requests.All(ctx)
		if err != nil {
			return err
		}
		lines := tabwriter.NewWriter(k.Stdout, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(lines, "request\tkind\tasked\tby\tids\tlast step\tat")
		var chosen *personal.Request
		for i, r := range all {
			if c.Request != nil && r.ID != *c.Request {
				continue
			}
			chosen = &all[i]
			_, _ = fmt.Fprintf(lines, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", r.ID, r.Kind, r.AskedAt.Format(time.RFC3339), r.AskedBy,
				r.VisitorIDs+r.UserKeys+r.RecipientKeys, r.Step, r.DoneAt.Format(time.RFC3339))
		}
		_ = lines.Flush()
		switch {
		case c.Request == nil:
			return nil
		case chosen == nil:
			return errors.New("no such request has been begun")
		case chosen.Step == personal.RequestDone && chosen.Kind == string(jobs.Erase):
			return prove(ctx, k.Stdout, requests, *chosen)
		}
		return nil
	})
}
