//go:build integration

package needle_test

import (
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
)

const (
	topic = "onepx.events"
	// tooNew is a schema that no consumer knows.
	tooNew = 99
)

// dump is the answer of ClickHouse as it is.
func (w *world) dump(t *testing.T, query string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.clickHouse.URL, strings.NewReader(query))
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode, "%s: %s", query, data)
	return data
}

// files are the bytes of all files below the folder. The indexes of Kafka are left out: they are made of numbers, and zeros.
func files(t *testing.T, dir string) []byte {
	t.Helper()
	var all []byte
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || strings.HasSuffix(path, "index") {
			return err
		}
		data, err := os.ReadFile(path)
		all = append(all, data...)
		return err
	}))
	return all
}

// client returns a client of Kafka that reads the topics from their beginning.
func (w *world) client(t *testing.T, topics ...string) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.kafka.Broker()), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(10*time.Millisecond))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// read returns all records that the topics have now.
func (w *world) read(t *testing.T, topics ...string) []*kgo.Record {
	t.Helper()
	client := w.client(t, topics...)
	ends, err := kadm.NewClient(client).ListEndOffsets(t.Context(), topics...)
	require.NoError(t, err)
	missing := map[string]map[int32]bool{}
	left := 0
	ends.Each(func(end kadm.ListedOffset) {
		if end.Offset > 0 {
			if missing[end.Topic] == nil {
				missing[end.Topic] = map[int32]bool{}
			}
			missing[end.Topic][end.Partition] = true
			left++
		}
	})
	var all []*kgo.Record
	for left > 0 {
		fetches := client.PollFetches(t.Context())
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			all = append(all, r)
			if end, _ := ends.Lookup(r.Topic, r.Partition); r.Offset+1 >= end.Offset && missing[r.Topic][r.Partition] {
				missing[r.Topic][r.Partition] = false
				left--
			}
		})
	}
	return all
}

// topics are all that Kafka has but its own.
func (w *world) topics(t *testing.T) []string {
	t.Helper()
	topics, err := kadm.NewClient(w.client(t)).ListTopics(t.Context())
	require.NoError(t, err)
	return topics.Names()
}

// contents are the bytes of the records, uncompressed.
func contents(records []*kgo.Record) []byte {
	var all []byte
	for _, r := range records {
		all = append(append(all, r.Key...), r.Value...)
		for _, h := range r.Headers {
			all = append(append(all, h.Key...), h.Value...)
		}
	}
	return all
}

// spoil makes dead letters of what collectors wrote: of a schema that is too new, and cut off. It waits until they are there.
func (w *world) spoil(t *testing.T, records []*kgo.Record) {
	t.Helper()
	client := w.client(t)
	for i, r := range records {
		if r.Topic != topic {
			continue
		}
		spoiled := &kgo.Record{Topic: topic, Key: r.Key, Value: r.Value[:len(r.Value)/2]}
		if i%2 == 0 {
			ev := &onepxv1.Event{}
			require.NoError(t, proto.Unmarshal(r.Value, ev))
			ev.Schema = tooNew
			var err error
			spoiled.Value, err = proto.Marshal(ev)
			require.NoError(t, err)
		}
		client.Produce(t.Context(), spoiled, nil)
	}
	require.NoError(t, client.Flush(t.Context()))
	w.awaitRows(t, "kafka_offset = "+lastOffset(t, client))
}

func lastOffset(t *testing.T, client *kgo.Client) string {
	t.Helper()
	ends, err := kadm.NewClient(client).ListEndOffsets(t.Context(), topic)
	require.NoError(t, err)
	end, _ := ends.Lookup(topic, 0)
	return strconv.FormatInt(end.Offset-1, 10)
}
