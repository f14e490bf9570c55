package consume

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/onepx/onepx/services/shared/pause"
)

// TestGroup runs real members against the broker, in real time.
func TestGroup(t *testing.T) {
	t.Parallel()
	together(t, map[string]func(t *testing.T){
		"members share the partitions and hand them over":                 membersShareThePartitionsAndHandThemOver,
		"a rebalance cuts off an insert and the next owner finishes it":   rebalanceInTheMiddleOfAnInsert,
		"a commit that has happened without an answer makes a new member": func(t *testing.T) { unknownCommitMakesANewMember(t, kerr.RequestTimedOut) },
		"a commit that may not have happened makes a new member":          func(t *testing.T) { unknownCommitMakesANewMember(t, kerr.CoordinatorNotAvailable) },
		"the broker comes back":                                           brokerComesBack,
		"stopping returns however the world is":                           stopReturns,
		"members come, go and are killed, and each record is stored once": randomRounds,
	})
}

// memberIDs are the members that the broker knows.
func (c *cluster) memberIDs() []string {
	var ids []string
	if info := c.Cluster.GroupInfo(groupName); info != nil && info.State == "Stable" {
		for _, m := range info.Members {
			ids = append(ids, m.MemberID)
		}
	}
	return ids
}

func membersShareThePartitionsAndHandThemOver(t *testing.T) {
	c := newCluster(t)
	c.produce(t, 1, 100)
	first := c.join(t)
	c.checkStored(t, 100)
	require.True(t, first.group.Working())
	second := c.join(t)
	eventually(t, "both are members", func() bool { return len(c.memberIDs()) == 2 })
	c.produce(t, 101, 300)
	c.checkStored(t, 300)
	require.NotZero(t, second.store.inserts(), "the second member has partitions too")
	first.leave(t)
	c.produce(t, 301, 400)
	c.checkStored(t, 400)
	eventually(t, "the position is idle", c.idle)
	second.leave(t)
	require.True(t, c.idle())
}

// rebalanceInTheMiddleOfAnInsert: the insert is cut off, and the next owner finishes the batch.
func rebalanceInTheMiddleOfAnInsert(t *testing.T) {
	c := newCluster(t)
	first := c.join(t)
	eventually(t, "it works", first.group.Working)
	first.store.hinder(hang)
	c.produce(t, 1, 40)
	eventually(t, "it inserts", func() bool { return first.store.inserts() > 0 })
	second := c.join(t)
	eventually(t, "the second member stores its part", func() bool { return second.store.inserts() > 0 })
	first.kill()
	c.checkStored(t, 40)
}

// unknownCommitMakesANewMember: a member that does not know whether a commit will land comes back as somebody else.
func unknownCommitMakesANewMember(t *testing.T, answer *kerr.Error) {
	c := newCluster(t)
	c.join(t)
	c.produce(t, 1, 20)
	c.checkStored(t, 20)
	eventually(t, "the position is idle", c.idle)
	before := c.memberIDs()
	faults := c.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: answer})
	c.produce(t, 21, 40)
	eventually(t, "a new member", func() bool {
		ids := c.memberIDs()
		return len(ids) == 1 && !slices.Contains(before, ids[0])
	})
	require.Equal(t, 1, faults.Hits())
	c.checkStored(t, 40)
}

// brokerComesBack after it was down, and after it was there and silent.
func brokerComesBack(t *testing.T) {
	c := newCluster(t)
	c.join(t)
	c.produce(t, 1, 40)
	c.checkStored(t, 40)
	c.Stop()
	_ = pause.For(t.Context(), groupSession+groupSession/2)
	c.Resume()
	c.produce(t, 41, 80)
	c.checkStored(t, 80)
	c.Silence()
	_ = pause.For(t.Context(), groupSession/2)
	c.Resume()
	c.produce(t, 81, 120)
	c.checkStored(t, 120)
	eventually(t, "the position is idle", c.idle)
}

// hang waits for the end of the context.
func hang(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// stopReturns however the world is.
func stopReturns(t *testing.T) {
	cases := map[string]func(c *cluster, m *member){
		"all is well":                      func(*cluster, *member) {},
		"inserts hang":                     func(_ *cluster, m *member) { m.store.hinder(hang) },
		"inserts fail":                     func(_ *cluster, m *member) { m.store.hinder(func(context.Context) error { return errAway }) },
		"Kafka is down":                    func(c *cluster, _ *member) { c.Stop() },
		"Kafka is silent":                  func(c *cluster, _ *member) { c.Silence() },
		"Kafka is silent and inserts hang": func(c *cluster, m *member) { m.store.hinder(hang); c.Silence() },
		"the network is cut":               func(_ *cluster, m *member) { m.network.cut() },
	}
	tests := map[string]func(t *testing.T){}
	for name, happen := range cases {
		tests[name] = func(t *testing.T) {
			c := newCluster(t)
			m := c.join(t)
			c.produce(t, 1, 40)
			c.checkStored(t, 40)
			c.produce(t, 41, 80)
			happen(c, m)
			_ = pause.For(t.Context(), groupLimits.FlushAge*3)
			started := time.Now()
			m.leave(t)
			require.Less(t, time.Since(started), groupDeadline+2*commitTimeout+5*time.Second)
		}
	}
	together(t, tests)
}

// randomRounds: members come, go, and are killed; the broker goes away, commits fail, inserts fail. In the end each
// record is stored once.
func randomRounds(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if n := number(t, "ONEPX_GROUP_SEED", 0); n != 0 {
		seed = uint64(n)
	}
	t.Logf("replay it with ONEPX_GROUP_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 3))
	c := newCluster(t)
	members := []*member{c.join(t), c.join(t)}
	produced := 0
	for range 24 {
		from := produced + 1
		produced += 1 + random.IntN(60)
		c.produce(t, from, produced)
		members = c.happen(t, random, members)
		_ = pause.For(t.Context(), time.Duration(random.IntN(400))*time.Millisecond)
		c.Resume()
	}
	for _, m := range members {
		m.store.hinder(nil)
	}
	if len(members) == 0 {
		c.join(t)
	}
	c.checkStored(t, produced)
	eventually(t, "the position is idle", c.idle)
	c.checkStored(t, produced)
}

// happen is one thing that happens to the group.
func (c *cluster) happen(t *testing.T, random *rand.Rand, members []*member) []*member {
	t.Helper()
	at := 0
	if len(members) > 0 {
		at = random.IntN(len(members))
	}
	switch what := random.IntN(8); {
	case len(members) < 3 && (what < 2 || len(members) == 0):
		return append(members, c.join(t))
	case len(members) == 0:
	case what == 2:
		members[at].leave(t)
		return slices.Delete(members, at, at+1)
	case what == 3:
		members[at].kill()
		return slices.Delete(members, at, at+1)
	case what == 4:
		c.Stop()
	case what == 5:
		err := []*kerr.Error{kerr.RequestTimedOut, kerr.CoordinatorNotAvailable, kerr.IllegalGeneration}[random.IntN(3)]
		c.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: err, Count: 1 + random.IntN(2)})
	default:
		members[at].store.hinder(func(ctx context.Context) error {
			switch n := rand.IntN(10); n {
			case 0:
				return errors.New("TOO_MANY_PARTS")
			case 1:
				return hang(ctx)
			default:
				return wait(ctx, time.Duration(n)*10*time.Millisecond)
			}
		})
	}
	return members
}
