package consume

import (
	"math"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// declarationOf makes a declaration of any numbers.
func declarationOf(first, length uint32, at uint64, rules uint64, suppression int64, hash uint64) Declaration {
	instant := time.UnixMilli(int64(at % (1 << 42))).UTC()
	return Declaration{
		Range: store.Range{Partition: partition, First: int64(first), Last: int64(first) + int64(length)},
		At:    instant, Day: instant.Truncate(24 * time.Hour), Rules: euroRules.rules.Hash()[:1+rules%16],
		Suppression: suppression, Hash: hash,
	}
}

func TestDeclarationComesBackFromItsMetadata(t *testing.T) {
	require.NoError(t, quick.Check(func(first, length uint32, at, rules uint64, suppression int64, hash uint64) bool {
		d := declarationOf(first, length, at, rules, suppression, hash)
		d.Shard, d.Again = int(rules%4), int(at%3) // 0 = none
		back, err := parseDeclaration(partition, d.First, d.Metadata())
		return err == nil && *back == d && back.Token() == d.Token() && back.Metadata() == d.Metadata()
	}, &quick.Config{MaxCount: 2000}))
}

func TestMetadataFitsWhatKafkaTakes(t *testing.T) {
	d := Declaration{
		Range: store.Range{Partition: partition, First: math.MaxInt64 - 1, Last: math.MaxInt64},
		At:    time.UnixMilli(math.MaxInt64).UTC(), Day: time.UnixMilli(math.MaxInt64).UTC(), Rules: euroRules.rules.Hash(),
		Suppression: math.MaxInt64, Hash: math.MaxUint64, Shard: math.MaxInt32, Again: math.MaxInt32,
	}
	require.Less(t, len(d.Metadata()), 4096/2)
}

func TestTokensDifferWhereBlocksDo(t *testing.T) {
	d := declarationOf(10, 5, 1, 0, 0, 7)
	for name, change := range map[string]func(*Declaration){
		"another topic":        func(d *Declaration) { d.Topic = "other" },
		"another partition":    func(d *Declaration) { d.ID++ },
		"another first offset": func(d *Declaration) { d.First++ },
		"another last offset":  func(d *Declaration) { d.Last++ },
		"another first record": func(d *Declaration) { d.Hash++ },
		"another time":         func(d *Declaration) { d.At = d.At.Add(time.Millisecond) },
		"a new token":          func(d *Declaration) { d.Again++ },
	} {
		other := d
		change(&other)
		require.NotEqual(t, d.Token(), other.Token(), name)
	}
	again := d
	again.Rules, again.Suppression = "other", 99
	require.Equal(t, d.Token(), again.Token(), "the token is of the declaration, not of the attempt")
}

func TestIdleIsNoDeclaration(t *testing.T) {
	for _, position := range []int64{0, 17, math.MaxInt64} {
		metadata := idleAt(position)
		d, err := parseDeclaration(partition, 17, metadata)
		require.NoError(t, err)
		require.Nil(t, d)
		require.Equal(t, position, suppressionOf(nil, metadata))
	}
}

func TestForeignMetadataIsNotOurs(t *testing.T) {
	good := declarationOf(10, 5, 1_700_000_000_000, 15, 3, 7).Metadata()
	_, err := parseDeclaration(partition, 10, good)
	require.NoError(t, err)
	cases := map[string]string{
		"empty, as tools that reset offsets leave it": "",
		"a Java consumer's word":                      "leader-epoch:3",
		"Flink's checkpoint":                          `{"checkpointId":17}`,
		"a newer version of ours":                     strings.Replace(good, "v1", "v2", 1),
		"only the version":                            "v1",
		"only the version and a space":                "v1 ",
		"idle with a position of nothing":             idle + " suppression=0",
		"idle with half a position":                   idle + " suppression=",
		"idle with a position that is no number":      idle + " suppression=1x",
		"idle with something behind":                  idle + " x",
		"a last offset before the first":              strings.Replace(good, "last=15", "last=9", 1),
		"a last offset that is no number":             strings.Replace(good, "last=15", "last=x", 1),
		"a last offset that is too large":             strings.Replace(good, "last=15", "last=99999999999999999999", 1),
		"no rules":                                    strings.Replace(good, "rules="+euroRules.rules.Hash(), "rules=", 1),
		"a hash that is no number":                    strings.Replace(good, "hash=", "hash=zz", 1),
		"a day that is none":                          strings.Replace(good, "day=2023-11-14", "day=2023-02-30", 1),
		"a shard that is no number":                   good + " shard=x",
		"a shard that there is never":                 good + " shard=0",
		"very long":                                   "v1 " + strings.Repeat("last=15 ", 100_000),
		"bytes that are no text":                      "v1 \xff\xfe\x00",
	}
	for cut := 1; cut < len(good); cut++ {
		if name := good[:cut]; cut < strings.Index(good, "hash=")+len("hash=")+1 {
			cases["cut after "+name] = name
		}
	}
	for name, metadata := range cases {
		d, err := parseDeclaration(partition, 10, metadata)
		require.ErrorIs(t, err, errForeign, name)
		require.Nil(t, d, name)
	}
}

func FuzzParseDeclaration(f *testing.F) {
	f.Add(int64(10), declarationOf(10, 5, 1_700_000_000_000, 15, 3, 7).Metadata())
	f.Add(int64(0), idle)
	f.Add(int64(5), "")
	f.Add(int64(-1), "v1 last=-1 at=-1 day=1970-01-01 rules=x suppression=-1 hash=0")
	f.Add(int64(0), "v1 last=1 last=2 at=1 day=1970-01-01 rules=x suppression=0 hash=+1")
	f.Fuzz(func(t *testing.T, offset int64, metadata string) {
		d, err := parseDeclaration(partition, offset, metadata)
		switch {
		case d == nil && err == nil:
			position, is := parseIdle(metadata)
			require.True(t, is)
			require.Equal(t, metadata, idleAt(position))
		case err != nil:
			require.ErrorIs(t, err, errForeign)
			require.Nil(t, d)
		default:
			require.LessOrEqual(t, d.First, d.Last)
			again, err := parseDeclaration(partition, offset, d.Metadata())
			require.NoError(t, err)
			require.Equal(t, d, again, "what is committed once more is what was read")
		}
	})
}
