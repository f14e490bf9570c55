package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/uuid"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/jobs"
	"github.com/onepx/onepx/services/shared/personal"
	table "github.com/onepx/onepx/services/shared/settings"
	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/suppression"
	"github.com/onepx/onepx/services/shared/userkey"
)

// privacyCmd groups the commands about data of people.
type privacyCmd struct {
	Show      privacyShowCmd      `cmd:"" help:"Count the rows that hold an id, and find linked ids. Example: consumer privacy show --visitor 0190b5ad-…"`
	Access    privacyAccessCmd    `cmd:"" help:"Print everything that is stored about the ids as NDJSON. Example: consumer privacy access --visitor 0190b5ad-… --asked-by 'ticket 17' > held.ndjson"`
	Erase     privacyEraseCmd     `cmd:"" help:"Erase everything that is stored about the ids; needs a running consumer jobs. Example: echo 'uid anna@example.com' | consumer privacy erase --from - --with-linked --asked-by 'ticket 17' --yes"`
	Status    privacyStatusCmd    `cmd:"" help:"Show the requests and how far they have come, or the proof of one. Example: consumer privacy status 0190b5ad-…"`
	Verify    privacyVerifyCmd    `cmd:"" help:"Check that no table holds one of the ids: exit code 1 when one does. Example: consumer privacy verify --visitor 0190b5ad-…"`
	Retention privacyRetentionCmd `cmd:"" help:"Show rows that their site wants to be gone: exit code 1 when they are overdue by more than two days. Example: consumer privacy retention"`
}

// peopleSettings say whom a command is about.
type peopleSettings struct {
	Visitor   []uuid.UUID  `placeholder:"UUID" help:"Id of a visitor, as in column visitor_id; can be repeated."`
	UserKey   []uuid.UUID  `placeholder:"UUID" help:"Key of a customer, as in column user_key; can be repeated."`
	Recipient []uuid.UUID  `placeholder:"UUID" help:"Key of a recipient of e-mails, as in column recipient_key; can be repeated."`
	UID       []string     `name:"uid" placeholder:"TEXT" help:"Customer id or e-mail address as the sites sent it; it is hashed in memory, for each site of the configuration. A command line can be seen by other users: better give it with --from."`
	From      string       `placeholder:"FILE" help:"File with more, one a line: visitor UUID, user UUID, recipient UUID or uid TEXT; - is standard input."`
	Config    string       `env:"ONEPX_CONFIG" required:"" type:"existingfile" help:"The site configuration, onepx.yaml."`
	Secret    table.Secret `env:"ONEPX_SECRET" placeholder:"TEXT" help:"The collectors' secret, for --uid. Give it in the environment: a command line can be seen by other users."`
}

// people are the ids, each once.
func (s *peopleSettings) people() (jobs.People, error) {
	var people jobs.People
	for kind, ids := range map[suppression.Kind][]uuid.UUID{suppression.Visitor: s.Visitor, suppression.User: s.UserKey, suppression.Recipient: s.Recipient} {
		for _, id := range ids {
			people.Add(kind, id)
		}
	}
	texts := s.UID
	if s.From != "" {
		more, err := s.read(&people)
		if err != nil {
			return jobs.People{}, err
		}
		texts = append(texts, more...)
	}
	if err := s.addCustomers(&people, texts); err != nil {
		return jobs.People{}, err
	}
	return people, people.Validate()
}

// read adds the ids of the file and returns its customers. Errors name lines, never what stands there.
func (s *peopleSettings) read(people *jobs.People) (customers []string, err error) {
	file := io.NopCloser(io.Reader(os.Stdin))
	if s.From != "-" {
		if file, err = os.Open(s.From); err != nil {
			return nil, err
		}
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan() && people.Len()+len(customers) <= jobs.MaxIDs; n++ { // beyond that it is refused
		word, text, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		switch kind := suppression.Kind(word); {
		case word == "":
		case word == "uid":
			customers = append(customers, text)
		case kind == suppression.Visitor || kind == suppression.User || kind == suppression.Recipient:
			id, err := uuid.Parse(strings.TrimSpace(text))
			if err != nil {
				return nil, fmt.Errorf("--from: line %d: no UUID after the first word", n)
			}
			people.Add(kind, id)
		default:
			return nil, fmt.Errorf("--from: line %d: it must begin with visitor, user, recipient or uid", n)
		}
	}
	return customers, lines.Err()
}

// addCustomers adds the keys that the customers have on each site.
func (s *peopleSettings) addCustomers(people *jobs.People, texts []string) error {
	if len(texts) == 0 {
		return nil
	}
	if s.Secret.Reveal() == "" {
		return errors.New("a uid needs the ONEPX_SECRET of the collectors")
	}
	sites, err := siteconfig.Load(s.Config)
	if err != nil {
		return err
	}
	keys := userkey.New(s.Secret.Reveal())
	for _, text := range texts {
		if people.Len() > jobs.MaxIDs {
			break // it is refused
		}
		for _, site := range sites.Sites {
			key := keys.Of(site.ID, text)
			if key == nil {
				return errors.New("a uid is empty")
			}
			people.Add(suppression.User, uuid.UUID(key))
		}
	}
	return nil
}

// withPrivacy opens the database of a command and calls do.
func withPrivacy(ctx context.Context, settings store.Settings, do func(*personal.Store, *personal.Requests) error) error {
	conn, err := settings.Open(clickhouseconn.OfCommands)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := storeOf(ctx, conn, settings); err != nil {
		return err
	}
	return do(personal.NewStore(conn, settings.Database), personal.NewRequests(conn, settings.Database))
}

// privacyShowCmd are the settings of `consumer privacy show`.
type privacyShowCmd struct {
	ClickHouse     store.Settings `embed:"" prefix:"clickhouse-"`
	peopleSettings `embed:""`
}

// Validate checks bounds.
func (c *privacyShowCmd) Validate() error { return c.ClickHouse.Validate() }

// Run is `consumer privacy show`.
func (c *privacyShowCmd) Run(ctx context.Context, k *kong.Kong) error {
	people, err := c.people()
	if err != nil {
		return err
	}
	return withPrivacy(ctx, c.ClickHouse, func(held *personal.Store, _ *personal.Requests) error {
		_, err := show(ctx, k.Stdout, held, people)
		return err
	})
}

// show prints what is held about people, and returns the linked ids.
func show(ctx context.Context, out io.Writer, held *personal.Store, people jobs.People) ([]personal.Link, error) {
	counts, err := held.Count(ctx, people)
	if err != nil {
		return nil, err
	}
	links, err := held.Links(ctx, people)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "%d visitor ids, %d user keys, %d recipient keys\n", len(people.Visitors), len(people.Users), len(people.Recipients))
	printCounts(out, counts)
	lines := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(lines, "linked id\t\tevents\tuser keys of the visitor")
	for _, l := range links {
		_, _ = fmt.Fprintf(lines, "%s\t%s\t%d\t%d\n", l.Kind, l.ID, l.Events, l.Users)
	}
	return links, lines.Flush()
}

func printCounts(out io.Writer, counts []personal.Held) {
	lines := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(lines, "table\trows")
	for _, h := range counts {
		_, _ = fmt.Fprintf(lines, "%s\t%d\n", h.Table, h.Rows)
	}
	_ = lines.Flush()
}

// privacyAccessCmd are the settings of `consumer privacy access`.
type privacyAccessCmd struct {
	ClickHouse     store.Settings `embed:"" prefix:"clickhouse-"`
	peopleSettings `embed:""`

	AskedBy string `required:"" placeholder:"TEXT" help:"Who answers for the request, such as a ticket: it is logged for ever. Never the person whom it is about."`
}

// Validate checks bounds.
func (c *privacyAccessCmd) Validate() error { return c.ClickHouse.Validate() }

// heldLine is one line of what `consumer privacy access` prints.
type heldLine struct {
	Table string          `json:"table"`
	Row   json.RawMessage `json:"row"`
}

// Run is `consumer privacy access`.
func (c *privacyAccessCmd) Run(ctx context.Context, k *kong.Kong) error {
	people, err := c.people()
	if err != nil {
		return err
	}
	return withPrivacy(ctx, c.ClickHouse, func(held *personal.Store, requests *personal.Requests) error {
		request := personal.NewRequest(uuid.New(), personal.KindAccess, c.AskedBy, time.Now().UTC(), people)
		if err := requests.Save(ctx, &request, personal.StepAsked, time.Now()); err != nil {
			return err
		}
		out := bufio.NewWriter(k.Stdout)
		lines := json.NewEncoder(out)
		lines.SetEscapeHTML(false)
		err := held.Export(ctx, people, func(name, row string) error {
			return lines.Encode(heldLine{Table: name, Row: json.RawMessage(row)})
		})
		if err := errors.Join(err, out.Flush()); err != nil {
			return err
		}
		return requests.Save(ctx, &request, personal.RequestDone, time.Now())
	})
}

// privacyVerifyCmd are the settings of `consumer privacy verify`.
type privacyVerifyCmd struct {
	ClickHouse     store.Settings `embed:"" prefix:"clickhouse-"`
	peopleSettings `embed:""`
}

// Validate checks bounds.
func (c *privacyVerifyCmd) Validate() error { return c.ClickHouse.Validate() }

// Run is `consumer privacy verify`.
func (c *privacyVerifyCmd) Run(ctx context.Context, k *kong.Kong) error {
	people, err := c.people()
	if err != nil {
		return err
	}
	return withPrivacy(ctx, c.ClickHouse, func(held *personal.Store, _ *personal.Requests) error {
		counts, err := held.Count(ctx, people)
		if err != nil {
			return err
		}
		printCounts(k.Stdout, counts)
		for _, h := range counts {
			if h.Rows > 0 {
				return fmt.Errorf("table %s holds rows of the ids", h.Table)
			}
		}
		return nil
	})
}

// privacyRetentionCmd are the settings of `consumer privacy retention`.
type privacyRetentionCmd struct {
	ClickHouse store.Settings `embed:"" prefix:"clickhouse-"`
}

// Validate checks bounds.
func (c *privacyRetentionCmd) Validate() error { return c.ClickHouse.Validate() }

// overdueAfter is how long rows may lie on disk after their time: ClickHouse removes them when it merges.
const overdueAfter = 48 * time.Hour

// Run is `consumer privacy retention`.
func (c *privacyRetentionCmd) Run(ctx context.Context, k *kong.Kong) error {
	return withPrivacy(ctx, c.ClickHouse, func(_ *personal.Store, requests *personal.Requests) error {
		overdue, err := requests.RetentionOverdue(ctx)
		if err != nil {
			return err
		}
		var late []string
		lines := tabwriter.NewWriter(k.Stdout, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(lines, "table\trows to be removed\texpired since")
		for _, o := range overdue {
			since := "-"
			if o.Oldest != nil {
				since = o.Oldest.UTC().Format(time.RFC3339)
				if time.Since(*o.Oldest) > overdueAfter {
					late = append(late, o.Table)
				}
			}
			_, _ = fmt.Fprintf(lines, "%s\t%d\t%s\n", o.Table, o.Rows, since)
		}
		_ = lines.Flush()
		if len(late) > 0 {
			return fmt.Errorf("rows are overdue in %s", strings.Join(late, ", "))
		}
		return nil
	})
}
