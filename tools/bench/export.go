package main

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

const (
	// exported is how many members the audience has, and how many customers the site's file.
	exported = 1_000_000
	// exportSecret is the collectors' in this benchmark.
	exportSecret = "0123456789abcdef0123456789abcdef"
)

// exportFacts makes every customer a member who shares, with one device. Who is in an audience is a table here: what it takes to
// find that out is a question of its own.
var exportFacts = []string{
	`CREATE OR REPLACE VIEW onepx.active_segments AS SELECT '` + site + `' AS site_id, 'cart' AS segment, 'v1' AS version`,
	`CREATE TABLE onepx.bench_members ENGINE = MergeTree ORDER BY visitor_id AS
	SELECT reinterpret(sipHash128(number), 'UUID') AS visitor_id, [concat('SKU-', toString(number % 5000)), concat('SKU-', toString(number % 7919))] AS products,
		toDateTime64('2026-11-20 00:00:00', 3, 'UTC') + number AS qualified_at, qualified_at + toIntervalDay(30) AS ends_at, false AS held_out FROM numbers(` + fmt.Sprint(exported) + `)`,
	`CREATE OR REPLACE VIEW onepx.audience_members AS SELECT * FROM onepx.bench_members WHERE {site:String} != '' AND {segment:String} != '' AND {version:String} != '' AND isNotNull({at:DateTime64(3)})`,
	`INSERT INTO onepx.share_consents SELECT '` + site + `', visitor_id, now(), toDateTime64(0, 3), toDateTime('2030-01-01') FROM onepx.bench_members`,
	`INSERT INTO onepx.identities (site_id, user_key, visitor_kind, visitor_id, occurred_at, event_id, expires_at)
	SELECT '` + site + `', user_key, 'cookie', reinterpret(sipHash128(number), 'UUID'), '2026-01-01 00:00:00', generateUUIDv4(), toDateTime('2030-01-01') FROM onepx.bench_customers`,
}

// exportBench exports an audience of a million, again and again.
func exportBench(ctx context.Context, w *world) (report, error) {
	contacts, folder := filepath.Join(w.dir, "contacts"), filepath.Join(w.dir, "exports")
	if err := os.MkdirAll(filepath.Join(contacts, site), 0o750); err != nil {
		return report{}, err
	}
	if err := w.exec(ctx, "CREATE TABLE onepx.bench_customers (number UInt64, user_key UUID) ENGINE = MergeTree ORDER BY number"); err != nil {
		return report{}, err
	}
	if err := w.makeCustomers(ctx, filepath.Join(contacts, site, "customers.csv")); err != nil {
		return report{}, err
	}
	for _, statement := range exportFacts {
		if err := w.exec(ctx, statement); err != nil {
			return report{}, err
		}
	}
	jobs, err := w.pipeline.StartJobs(ctx, "jobs", "ONEPX_SECRET="+exportSecret, "ONEPX_EXPORT_DIR="+folder, "ONEPX_EXPORT_CONTACTS_DIR="+contacts)
	if err != nil {
		return report{}, err
	}
	defer func() { _ = jobs.Stop() }()
	var result report
	for _, format := range []string{"csv", "parquet", "meta"} {
		var rates []float64
		for range w.runs {
			args := []string{"export", "--site", site, "--segment", "cart", "--format", format, "--asked-by", "bench"}
			if format == "meta" {
				args = append(args, "--contacts", "customers")
			}
			start := time.Now()
			if out, err := w.pipeline.Consumer(ctx, args...); err != nil {
				return report{}, fmt.Errorf("consumer export: %w\n%s", err, out)
			}
			rates = append(rates, exported/time.Since(start).Seconds())
		}
		result.numbers = append(result.numbers, number{"export_" + format + "_rows_per_second", median(rates), "/s", nil, "members of `" + format + "` a second, from the command to the end"})
	}
	peak, err := peakMemory(jobs.PID())
	if err != nil {
		return report{}, err
	}
	result.numbers = append(result.numbers, number{"export_memory", peak, " MB", atMost(200), "most resident memory of `consumer jobs` in all of them"})
	result.method = fmt.Sprintf(`An audience of %d visitors is exported %d times in each format by one `+"`consumer jobs`"+`. The first export of a format writes everybody to two files, as everybody is new. Each visitor is a customer who
shares; the site's file of customers has a line for each, with an address, a telephone number, names, city, postcode and country. The audience is a table: what membership takes is another question.`, exported, w.runs)
	return result, nil
}

// makeCustomers writes the site's file of customers, and the keys that they have.
func (w *world) makeCustomers(ctx context.Context, path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	keys, rows := io.Pipe()
	go func() { rows.CloseWithError(writeCustomers(file, rows)) }()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.clickHouse.HTTPURL()+"/?query="+url.QueryEscape("INSERT INTO onepx.bench_customers FORMAT TSV"), keys)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1000)) // nothing but the reason is lost
		return fmt.Errorf("insert customers: %s: %s", response.Status, text)
	}
	return file.Sync()
}

// writeCustomers writes a line of each customer, and the number and key of each.
func writeCustomers(contacts, keys io.Writer) error {
	lines, rows := bufio.NewWriter(contacts), bufio.NewWriter(keys)
	fmt.Fprintln(lines, "email,phone,first_name,last_name,city,zip,country")
	key := hmacOf([]byte(exportSecret), "onepx user key")
	for n := range exported {
		email := fmt.Sprintf("customer.%d@example.com", n)
		fmt.Fprintf(lines, "%s,+49 151 %08d,Anna %d,Berg,Berlin,10115,DE\n", email, n, n)
		id := hex.EncodeToString(hmacOf(key, site+"\x00"+email)[:16])
		fmt.Fprintf(rows, "%d\t%s-%s-%s-%s-%s\n", n, id[:8], id[8:12], id[12:16], id[16:20], id[20:])
	}
	if err := lines.Flush(); err != nil {
		return err
	}
	return rows.Flush()
}

// hmacOf is HMAC-SHA-256.
func hmacOf(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
