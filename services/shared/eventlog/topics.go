// Package eventlog is the Kafka form of the contract: topic names, the partition key, and the record layout. The
// collector writes through it, the consumer reads through it.
package eventlog

import onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

// Topics of onepx. `consumer topics` creates and checks them.
const (
	// TopicEvents holds one Event a record. Its number of partitions never grows while live: keys would move.
	TopicEvents = "onepx.events"
	// TopicDeadLetter holds the bytes of records that could not be decoded.
	TopicDeadLetter = "onepx.deadletter"
	// TopicSuppressions is compacted: key = kind ‖ hash, empty value = lifted.
	TopicSuppressions = "onepx.suppressions"
	// TopicJobs holds requests for `consumer jobs`.
	TopicJobs = "onepx.jobs"
	// TopicAudiences holds who has entered or left a streamed segment, as JSON; key = the visitor's id as text.
	TopicAudiences = "onepx.audiences"
	// TopicUnsubscribes holds the recipients who want no more mail, as JSON; key = the recipient's key as text.
	TopicUnsubscribes = "onepx.unsubscribes"
)

// Key is the partition key: the event id. So all repeats of an event meet in one partition, whoever the visitor is taken
// for when they arrive, and the load is even: docs/adr/0002-partition-by-event-id.md. The accounts of one collector meet in
// one partition too, and stay in order.
func Key(ev *onepxv1.Event) []byte {
	if account := ev.GetAccount(); account != nil {
		return account.GetCollector()
	}
	return ev.GetEventId()
}
