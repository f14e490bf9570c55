package privacy

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/shared/eventlog"
)

const (
	// deletionLag is what Kafka takes to remove a segment that has expired: its check every five minutes, and a minute until the
	// file is gone.
	deletionLag = 10 * time.Minute
	// Kafka's defaults, for a broker that does not tell.
	defaultRetention = 7 * 24 * time.Hour
	defaultSegment   = 7 * 24 * time.Hour
)

// never is the expiry of what is kept for ever.
var never = time.Date(2149, 6, 6, 0, 0, 0, 0, time.UTC)

// Expiry tells when the last copy of a record that is published until then has gone from the topics that may hold something of
// people. A record goes with its segment, which is closed up to segment.ms after it was begun.
func Expiry(ctx context.Context, client *kafka.Client, until time.Time) (time.Time, error) {
	var request kafka.DescribeConfigsRequest
	for _, topic := range []string{eventlog.TopicEvents, eventlog.TopicDeadLetter, eventlog.TopicJobs, eventlog.TopicAudiences, eventlog.TopicUnsubscribes} {
		request.Resources = append(request.Resources, kafka.DescribeConfigRequestResource{
			ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ConfigNames: []string{"retention.ms", "segment.ms"},
		})
	}
	res, err := client.DescribeConfigs(ctx, &request)
	if err != nil {
		return time.Time{}, fmt.Errorf("read retention of topics: %w", err)
	}
	expires := until
	for _, resource := range res.Resources {
		if resource.Error != nil {
			return time.Time{}, fmt.Errorf("read retention of topic %s: %w", resource.ResourceName, resource.Error)
		}
		kept := map[string]time.Duration{"retention.ms": defaultRetention, "segment.ms": defaultSegment}
		for _, entry := range resource.ConfigEntries {
			if ms, err := strconv.ParseInt(entry.ConfigValue, 10, 64); err == nil {
				kept[entry.ConfigName] = time.Duration(ms) * time.Millisecond
			}
		}
		if kept["retention.ms"] < 0 {
			return never, nil
		}
		if at := until.Add(kept["retention.ms"] + kept["segment.ms"] + deletionLag); at.After(expires) {
			expires = at
		}
	}
	return expires, nil
}
