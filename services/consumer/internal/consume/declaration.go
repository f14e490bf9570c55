package consume

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// Declaration says which batch a worker is about to store, and everything that makes its rows, besides the records
// themselves. It stands in the group's committed offset: offset = First, metadata = the rest. Whoever reads it can make
// and insert the same block again.
type Declaration struct {
	store.Range
	// At is when the batch was first declared, in ms; commits that repeat the declaration do not change it.
	At time.Time
	// Day is the UTC day of At: events is partitioned by it, so it must not change between two attempts.
	Day time.Time
	// Rules is the hash of enrich.Rules.
	Rules string
	// Suppression is the position of the suppression list.
	Suppression int64
	// Hash is the fingerprint of the first record of the range, 0 when Kafka holds none of it.
	Hash uint64
	// Shard is the number of the one that takes the rows, 0 on a single node. It is no other when the batch is inserted again,
	// whatever has become of the shards: only that one knows the token.
	Shard int
	// Again is how often the batch took a new token because ClickHouse had started anew, see restart.go.
	Again int
}

// idle is the metadata of a committed offset with no declared batch: everything before the offset is stored.
const idle = "v1 idle"

// idleAt is idle with the position of the suppression list that the partition's owner had read, `v1 idle suppression=…`; a
// position of 0 is left out.
func idleAt(suppression int64) string {
	if suppression == 0 {
		return idle
	}
	return idle + " suppression=" + strconv.FormatInt(suppression, 10)
}

// parseIdle reads what idleAt has made; false when it is something else.
func parseIdle(metadata string) (suppression int64, ok bool) {
	if metadata == idle {
		return 0, true
	}
	text, ok := strings.CutPrefix(metadata, idle+" suppression=")
	suppression, err := strconv.ParseInt(text, 10, 64)
	return suppression, ok && err == nil && idleAt(suppression) == metadata
}

// suppressionOf is the position of the suppression list in metadata of ours, 0 in any other.
func suppressionOf(declared *Declaration, metadata string) int64 {
	if declared != nil {
		return declared.Suppression
	}
	suppression, _ := parseIdle(metadata)
	return suppression
}

// errForeign says that a committed offset was not written by this program.
var errForeign = errors.New("not a declaration of onepx")

// Token is the deduplication token of the batch. No other declaration has it, also not a later one of the same range.
func (d Declaration) Token() string {
	token := fmt.Sprintf("%s/%d/%d-%d/%016x/%d", d.Topic, d.ID, d.First, d.Last, d.Hash, d.At.UnixMilli())
	if d.Again != 0 {
		token += "/" + strconv.Itoa(d.Again)
	}
	return token
}

// Metadata is the declaration as it is committed: `v1 last=… at=… day=… rules=… suppression=… hash=…`, on a cluster with
// ` shard=…`, and ` again=…` if that is not 0; well below the 4096 bytes that Kafka takes.
func (d Declaration) Metadata() string {
	text := fmt.Sprintf("v1 last=%d at=%d day=%s rules=%s suppression=%d hash=%016x",
		d.Last, d.At.UnixMilli(), d.Day.Format(time.DateOnly), d.Rules, d.Suppression, d.Hash)
	if d.Shard != 0 {
		text += " shard=" + strconv.Itoa(d.Shard)
	}
	if d.Again != 0 {
		text += " again=" + strconv.Itoa(d.Again)
	}
	return text
}

// parseDeclaration reads a committed offset and its metadata; nil and no error means idle, errForeign that it is not ours.
func parseDeclaration(p store.Partition, offset int64, metadata string) (*Declaration, error) {
	if _, is := parseIdle(metadata); is {
		return nil, nil //nolint:nilnil // idle is no declaration and no error
	}
	text, ours := strings.CutPrefix(metadata, "v1 ")
	if !ours {
		return nil, errForeign
	}
	fields := map[string]string{}
	for _, field := range strings.Fields(text) {
		name, value, _ := strings.Cut(field, "=")
		fields[name] = value
	}
	d := &Declaration{Range: store.Range{Partition: p, First: offset}, Rules: fields["rules"]}
	last, err1 := strconv.ParseInt(fields["last"], 10, 64)
	at, err2 := strconv.ParseInt(fields["at"], 10, 64)
	day, err3 := time.Parse(time.DateOnly, fields["day"])
	suppression, err4 := strconv.ParseInt(fields["suppression"], 10, 64)
	hash, err5 := strconv.ParseUint(fields["hash"], 16, 64)
	shard, err6 := parseNumber(fields, "shard")
	again, err7 := parseNumber(fields, "again")
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7); err != nil || last < offset || d.Rules == "" {
		return nil, fmt.Errorf("%w: %q", errForeign, metadata)
	}
	d.Last, d.At, d.Day, d.Suppression, d.Hash, d.Shard, d.Again = last, time.UnixMilli(at).UTC(), day, suppression, hash, shard, again
	return d, nil
}

// parseNumber is a number that stands in a declaration when it is not 0.
func parseNumber(fields map[string]string, name string) (int, error) {
	text, named := fields[name]
	if !named {
		return 0, nil
	}
	number, err := strconv.ParseUint(text, 10, 31)
	if err == nil && number == 0 {
		err = errForeign
	}
	return int(number), err
}
