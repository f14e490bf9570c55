package eventlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/zeebo/xxh3"
	"google.golang.org/protobuf/proto"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
)

// Record layout:
//
//	key      Key(event): 16 bytes
//	value    proto/onepx/v1 Event
//	time     the moment of publishing, ms
//	headers  replayed = "1" when the event lay in a spool before; account = "1" when it is a collector's account;
//	         traceparent (W3C) when its request was sampled for tracing, see TraceHeaders

// Schema is that of events, SchemaTally that of tallies, SchemaAccount that of accounts and the newest one that this code reads.
const (
	Schema        = 1
	SchemaTally   = 2
	SchemaAccount = 3
)

// HeaderReplayed marks records that come from a spool: the event may be much older than the record.
const HeaderReplayed = "replayed"

// headerAccount marks records that are accounts, for those who count the others without reading them.
const headerAccount = "account"

// ErrUndecodable and ErrSchemaTooNew are the two ways in which a record is no event to us.
var (
	ErrUndecodable  = errors.New("record is no event")
	ErrSchemaTooNew = errors.New("record needs a newer consumer")
)

// Encode makes the record of an event, to be published at the given moment.
func Encode(ev *onepxv1.Event, now time.Time) (kafka.Message, error) {
	value, err := proto.Marshal(ev)
	if err != nil {
		return kafka.Message{}, fmt.Errorf("encode event: %w", err)
	}
	message := kafka.Message{Key: Key(ev), Value: value, Time: now}
	if ev.GetAccount() != nil {
		message.Headers = []kafka.Header{{Key: headerAccount, Value: []byte("1")}}
	}
	return message, nil
}

// Decode reads the value of a record. The error wraps ErrUndecodable or ErrSchemaTooNew; both are permanent.
func Decode(value []byte) (*onepxv1.Event, error) {
	ev := &onepxv1.Event{}
	if err := proto.Unmarshal(value, ev); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUndecodable, err)
	}
	if ev.GetSchema() > SchemaAccount {
		return nil, fmt.Errorf("%w: schema %d, known up to %d", ErrSchemaTooNew, ev.GetSchema(), SchemaAccount)
	}
	if ev.GetSchema() == 0 || len(ev.GetEventId()) != 16 || ev.GetReceivedAtMs() <= 0 {
		return nil, fmt.Errorf("%w: schema, event_id or received_at_ms missing", ErrUndecodable)
	}
	if account := ev.GetAccount(); account != nil && len(account.GetCollector()) != 16 || account == nil && ev.GetSiteId() == "" {
		return nil, fmt.Errorf("%w: of no site, or of no collector", ErrUndecodable)
	}
	return ev, nil
}

// Replayed tells whether the record came from a spool.
func Replayed(headers []kafka.Header) bool { return marked(headers, HeaderReplayed) }

// IsAccount tells whether the record is a collector's account, by its headers.
func IsAccount(headers []kafka.Header) bool { return marked(headers, headerAccount) }

func marked(headers []kafka.Header, key string) bool {
	for _, h := range headers {
		if h.Key == key {
			return string(h.Value) == "1"
		}
	}
	return false
}

// RecordHash is a 64-bit fingerprint (XXH3) of a raw record: key, value and record time in ms. It tells a topic that was
// made anew from the one whose rows are stored.
func RecordHash(key, value []byte, recordTime time.Time) uint64 {
	h := xxh3.New()
	var n [8]byte
	for _, part := range [][]byte{key, value} {
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		_, _ = h.Write(n[:])
		_, _ = h.Write(part)
	}
	binary.BigEndian.PutUint64(n[:], uint64(recordTime.UnixMilli()))
	_, _ = h.Write(n[:])
	return h.Sum64()
}
