package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"google.golang.org/protobuf/encoding/protowire"
)

// Record is one Kafka message as it waits on disk.
type Record struct {
	// Key, Value and Headers are the message's own; empty ones come back nil.
	Key, Value []byte
	Headers    []kafka.Header
	// SpooledAt is when Append took it, to the millisecond. Append sets it.
	SpooledAt time.Time
}

// A record lies on disk as a number, 8 bytes big-endian, followed by a protobuf message:
//
//	message Record { bytes key = 1; bytes value = 2; repeated Header headers = 3; int64 spooled_at_ms = 4; }
//	message Header { string key = 1; bytes value = 2; }
//
// It is written by hand because it is no contract with anybody: only this package reads it, but a collector must be able to
// read what an older or newer one left behind, and protobuf's rules for unknown and missing fields give that.
//
// The number comes first and big-endian on purpose. Damage can turn the type of a chunk of the log into one that has a log
// number where the payload begins; the leading zeros are the log number that is expected, so the checksum is still looked at.
const (
	fieldKey       = protowire.Number(1)
	fieldValue     = protowire.Number(2)
	fieldHeader    = protowire.Number(3)
	fieldSpooledAt = protowire.Number(4)

	fieldHeaderKey   = protowire.Number(1)
	fieldHeaderValue = protowire.Number(2)

	numberBytes = 8
)

// Encode returns the bytes of a record, without its number.
func Encode(r Record) []byte { return appendRecord(nil, r) }

// Decode reads what Encode wrote. Fields it does not know are left out. The record shares b's memory.
func Decode(b []byte) (Record, error) {
	var r Record
	err := fields(b, func(field protowire.Number, bytes []byte, number uint64) error {
		switch field {
		case fieldKey:
			r.Key = bytes
		case fieldValue:
			r.Value = bytes
		case fieldHeader:
			header, err := decodeHeader(bytes)
			if err != nil {
				return err
			}
			r.Headers = append(r.Headers, header)
		case fieldSpooledAt:
			r.SpooledAt = time.UnixMilli(int64(number)) //nolint:gosec // the bits of an int64, put there by appendRecord
		}
		return nil
	})
	if err != nil {
		return Record{}, fmt.Errorf("decode spooled record: %w", err)
	}
	return r, nil
}

// frame returns the bytes of a record behind room for its number.
func frame(r Record) []byte {
	b := make([]byte, numberBytes, numberBytes+len(r.Key)+len(r.Value)+256)
	return appendRecord(b, r)
}

// unframe takes a frame apart.
func unframe(b []byte) (number uint64, r Record, err error) {
	if len(b) < numberBytes {
		return 0, Record{}, errors.New("a spooled record without a number")
	}
	r, err = Decode(b[numberBytes:])
	return binary.BigEndian.Uint64(b), r, err
}

func appendRecord(b []byte, r Record) []byte {
	b = appendBytes(b, fieldKey, r.Key)
	b = appendBytes(b, fieldValue, r.Value)
	for _, header := range r.Headers {
		inner := appendBytes(nil, fieldHeaderKey, []byte(header.Key))
		inner = appendBytes(inner, fieldHeaderValue, header.Value)
		b = protowire.AppendTag(b, fieldHeader, protowire.BytesType)
		b = protowire.AppendBytes(b, inner)
	}
	b = protowire.AppendTag(b, fieldSpooledAt, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(r.SpooledAt.UnixMilli()))
}

func appendBytes(b []byte, field protowire.Number, value []byte) []byte {
	if len(value) == 0 {
		return b
	}
	b = protowire.AppendTag(b, field, protowire.BytesType)
	return protowire.AppendBytes(b, value)
}

func decodeHeader(b []byte) (kafka.Header, error) {
	var header kafka.Header
	err := fields(b, func(field protowire.Number, bytes []byte, _ uint64) error {
		switch field {
		case fieldHeaderKey:
			header.Key = string(bytes)
		case fieldHeaderValue:
			header.Value = bytes
		}
		return nil
	})
	return header, err
}

// fields calls visit for each field of a message with its bytes or its number, whichever its wire type has; a field of
// another wire type has neither.
func fields(b []byte, visit func(field protowire.Number, bytes []byte, number uint64) error) error {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		var bytes []byte
		var number uint64
		switch kind {
		case protowire.BytesType:
			bytes, n = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(b)
		default:
			n = protowire.ConsumeFieldValue(field, kind, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		if err := visit(field, bytes, number); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
