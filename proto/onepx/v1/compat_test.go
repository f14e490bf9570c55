package onepxv1_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
)

var release = flag.String("release", "", "write the bytes of a new release under its number, such as v2; those of old ones are never written again")

// full is an event with every field of this version set.
func full() *onepxv1.Event {
	event := &onepxv1.Event{}
	fill(event.ProtoReflect(), 1)
	return event
}

// fill sets every field of the message, and of the messages in it, to a value that follows from the field's number.
func fill(m protoreflect.Message, seed int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		n := seed + int(field.Number())
		switch {
		case field.IsMap():
			m.Mutable(field).Map().Set(protoreflect.ValueOfString("name").MapKey(), protoreflect.ValueOfString("Wert ü"))
		case field.IsList() && field.Message() != nil:
			fill(m.Mutable(field).List().AppendMutable().Message(), n)
		case field.IsList():
			m.Mutable(field).List().Append(scalar(field, n))
		case field.Message() != nil:
			fill(m.Mutable(field).Message(), n)
		default:
			m.Set(field, scalar(field, n))
		}
	}
}

func scalar(field protoreflect.FieldDescriptor, n int) protoreflect.Value {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		values := field.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get(values.Len() - 1).Number())
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(n))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(uint64(n) * 1_000_000_007)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(-int32(n))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(-int64(n) * 1_000_000_007)
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte("0123456789abcdef"))
	default:
		return protoreflect.ValueOfString(string(field.Name()) + " ü")
	}
}

// TestBytesOfEveryReleaseDecode: testdata/vN.binpb are bytes as version N wrote them, vN.json is what they mean.
func TestBytesOfEveryReleaseDecode(t *testing.T) {
	if *release != "" {
		write(t, *release, full())
	}
	files, err := filepath.Glob("testdata/*.binpb")
	if err != nil || len(files) == 0 {
		t.Fatal("no bytes of a release", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			var got, want onepxv1.Event
			if err := proto.Unmarshal(read(t, file), &got); err != nil {
				t.Fatal(err)
			}
			if err := protojson.Unmarshal(read(t, file[:len(file)-len("binpb")]+"json"), &want); err != nil {
				t.Fatal(err)
			}
			if len(got.ProtoReflect().GetUnknown()) > 0 || !proto.Equal(&got, &want) {
				t.Errorf("the bytes mean something else now:\n%v\n%v", &got, &want)
			}
		})
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t *testing.T, name string, event *onepxv1.Event) {
	t.Helper()
	binary, err := proto.MarshalOptions{Deterministic: true}.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	text := protojson.MarshalOptions{Multiline: true, UseProtoNames: true}.Format(event)
	for suffix, data := range map[string][]byte{".binpb": binary, ".json": append([]byte(text), '\n')} {
		path := filepath.Join("testdata", name+suffix)
		if _, err := os.Stat(path); err == nil {
			t.Fatal(path, "is there, and is not written again")
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
