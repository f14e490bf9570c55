package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// erasedVisitors is how many visitors one request erases.
const erasedVisitors = 1000

// erasureSteps asks how many seconds each step of the only request took.
const erasureSteps = `SELECT step AS Step, (toUnixTimestamp64Milli(done_at) - toUnixTimestamp64Milli(lagInFrame(done_at, 1, asked_at) OVER (ORDER BY done_at ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING))) / 1000 AS Took
FROM onepx.privacy_requests ORDER BY done_at`

// erasureBench erases visitors of a crowded site.
func erasureBench(ctx context.Context, w *world) (report, error) {
	made, err := w.makeCrowd(ctx)
	if err != nil {
		return report{}, err
	}
	consumer, err := w.pipeline.StartConsumer(ctx, "consumer")
	if err != nil {
		return report{}, err
	}
	defer func() { _ = consumer.Stop() }()
	worker, err := w.pipeline.StartJobs(ctx, "jobs")
	if err != nil {
		return report{}, err
	}
	defer func() { _ = worker.Stop() }()
	var people struct{ IDs []string }
	query := fmt.Sprintf("SELECT groupArray(concat('visitor ', toString(visitor_id))) AS IDs FROM (SELECT visitor_id FROM onepx.visitors WHERE site_id = '%s' LIMIT %d)", questionSite, erasedVisitors)
	if err := w.sql().One(ctx, query, &people); err != nil {
		return report{}, err
	}
	file := filepath.Join(w.dir, "people")
	if err := os.WriteFile(file, []byte(strings.Join(people.IDs, "\n")), 0o600); err != nil {
		return report{}, err
	}
	if out, err := w.pipeline.Consumer(ctx, "privacy", "erase", "--from", file, "--asked-by", "bench", "--yes"); err != nil {
		return report{}, fmt.Errorf("consumer privacy erase: %w\n%s", err, out)
	}
	result := report{numbers: []number{{}}}
	all := 0.0
	err = w.sql().Query(ctx, erasureSteps, func(row json.RawMessage) error {
		var s struct {
			Step string
			Took float64
		}
		err := json.Unmarshal(row, &s)
		all += s.Took
		result.numbers = append(result.numbers, number{"erasure_" + s.Step, s.Took, "s", nil, "of that, for the step `" + s.Step + "` ([erasure](erasure.md#erasure))"})
		return err
	})
	if err != nil {
		return report{}, err
	}
	result.numbers[0] = number{"erasure", all, "s", atMost(60), fmt.Sprintf("`consumer privacy erase` of %d visitors, until all is proven and done", erasedVisitors)}
	result.method = fmt.Sprintf(`%d events of %d visitors over %d days, made as above (in %s). One consumer and one `+"`consumer jobs`"+` run. The people are %d visitors with events on all days: their rows are in nearly every part.
`+"`acknowledged`"+` is mostly a wait of twice the insert deadline, 8 s here and 30 s by default, whatever there is to erase.`,
		questionEvents, questionEvents/20, questionDays, made.Round(time.Second), erasedVisitors)
	return result, nil
}
