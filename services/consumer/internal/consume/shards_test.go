package consume

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// namedStore is told from others by its number.
type namedStore struct {
	Store
	number int
}

// twoShards are shards 1 and 2; new batches go to the second.
type twoShards struct{}

func (twoShards) Of(store.Partition) int { return 2 }

func (twoShards) Store(shard int) (Store, error) {
	if shard > 2 {
		return nil, fmt.Errorf("%w: no shard %d", store.ErrRefused, shard)
	}
	return namedStore{number: shard}, nil
}

func TestABatchIsInsertedWhereItWasDeclared(t *testing.T) {
	for name, test := range map[string]struct {
		shards   Shards
		declared int
		want     int
		refused  bool
	}{
		"a single node":                    {nil, 0, 0, false},
		"the shard that new batches go to": {twoShards{}, 2, 2, false},
		"another shard, as there were others when it was declared": {twoShards{}, 1, 1, false},
		"a shard that is gone":                 {twoShards{}, 3, 0, true},
		"a shard, and this is a single node":   {nil, 1, 0, true},
		"a single node, and this is a cluster": {twoShards{}, 0, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := &Worker{Deps: Deps{Store: namedStore{}, Shards: test.shards}}
			into, err := w.storeOf(Declaration{Shard: test.declared})
			if test.refused {
				require.ErrorIs(t, err, store.ErrRefused)
				return
			}
			require.NoError(t, err)
			require.Equal(t, namedStore{number: test.want}, into)
		})
	}
}
