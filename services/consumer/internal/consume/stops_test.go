package consume

import (
	"fmt"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/suppression"
)

// storeTen stores ten events in two batches and stops; the position is 10, idle.
func storeTen(t *testing.T, w *world) {
	t.Helper()
	w.events(1, 10)
	p := w.run(t)
	until(t, "ten rows", func() bool { return w.stored() == 10 })
	p.stop()
	require.NoError(t, endsSoon(t, p))
	require.Equal(t, Committed{Offset: 10, Metadata: idle}, w.group.get())
}

// declared makes the position the declaration of a batch that is still in the log, as it was declared if it is stored.
func (w *world) declared(first, last int64, change ...func(*Declaration)) {
	d := Declaration{
		Range: store.Range{Partition: partition, First: first, Last: last}, At: time.Now(), Day: time.Now().Truncate(24 * time.Hour),
		Rules: euroRules.rules.Hash(), Hash: hashOf(*w.log.records[first]),
	}
	for _, row := range w.house.of(d.Range) {
		d.At, d.Day = row.DeclaredAt, row.BatchDay
	}
	for _, c := range change {
		c(&d)
	}
	w.group.set(Committed{Offset: first, Metadata: d.Metadata()})
}

// stopCase is something that happens while nobody works, and why the partition then stops.
type stopCase struct {
	happens func(w *world)
	why     reason.Reason
}

// stopCases are by what happened.
var stopCases = map[string]stopCase{
	"the position was reset to the beginning": {
		func(w *world) { w.group.set(Committed{Offset: 0}) }, reason.OffsetsMoved,
	},
	"the position was moved forward by a tool": {
		func(w *world) { w.events(11, 20); w.group.set(Committed{Offset: 15}) }, reason.OffsetsMoved,
	},
	"the position was set to where it was by a tool": {
		func(w *world) { w.group.set(Committed{Offset: 10}) }, reason.OffsetsMoved,
	},
	"another program committed": {
		func(w *world) { w.group.set(Committed{Offset: 10, Metadata: "leader-epoch:0"}) }, reason.OffsetsMoved,
	},
	"the position was copied from an older one of ours": {
		func(w *world) { w.group.set(Committed{Offset: 3, Metadata: idle}) }, reason.OffsetsMoved,
	},
	"a declaration was copied from an older one of ours": {
		func(w *world) { w.declared(0, 4) }, reason.OffsetsMoved,
	},
	"the topic was made anew and is shorter": {
		func(w *world) { w.log.replace(w.record(50, 0)) }, reason.TopicChanged,
	},
	"the topic was made anew and is as long": {
		func(w *world) { w.log.replace(); w.events(51, 61) }, reason.TopicChanged,
	},
	"the topic was made anew and the position is gone": {
		func(w *world) { w.log.replace(); w.events(51, 71); w.group.set(Committed{Offset: -1}) }, reason.TopicChanged,
	},
	"the topic was made anew, is shorter, and the position is gone": {
		func(w *world) { w.log.replace(); w.events(51, 53); w.group.set(Committed{Offset: -1}) }, reason.TopicChanged,
	},
	"the log was cut behind a declared range": {
		func(w *world) {
			w.events(11, 14)
			w.declared(10, 13)
			w.log.records = w.log.records[:12]
		}, reason.TopicChanged,
	},
	"the first record of a declared range is another one": {
		func(w *world) {
			w.events(11, 14)
			w.declared(10, 13, func(d *Declaration) { d.Hash++ })
		}, reason.TopicChanged,
	},
	"some rows of a declared range were deleted by hand": {
		func(w *world) {
			w.declared(8, 9)
			w.house.events.rows = w.house.events.rows[:9]
		}, reason.RowsPartial,
	},
	"some rows of a declared range were deleted by hand long ago": {
		func(w *world) {
			w.declared(8, 9, func(d *Declaration) { d.At = d.At.Add(-simLimits.TokenLife - time.Minute) })
			w.house.events.rows = w.house.events.rows[:9]
		}, reason.RowsPartial,
	},
}

// TestPartitionStops when going on could lose or double something, and says why; nothing is written then.
func TestPartitionStops(t *testing.T) {
	for name, c := range stopCases {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *world) {
				storeTen(t, w)
				c.happens(w)
				rows, position := w.stored(), w.group.get()
				p := w.run(t)
				rest(time.Minute)
				require.Equal(t, []string{string(c.why)}, w.stopped())
				require.Equal(t, rows, w.stored())
				require.Equal(t, position, w.group.get())
				p.stop()
				require.NoError(t, endsSoon(t, p), "it keeps the partition until it is told to stop")
			})
		})
	}
}

// TestPartitionStopsWhileItRuns when the log ends before what is stored.
func TestPartitionStopsWhileItRuns(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		w.events(1, 10)
		w.run(t)
		until(t, "ten rows", func() bool { return w.stored() == 10 })
		w.log.replace(w.record(50, 0))
		until(t, "it stops", func() bool { return len(w.stopped()) > 0 })
		require.Equal(t, []string{string(reason.TopicChanged)}, w.stopped())
	})
}

// TestNoFalseAlarm: what looks strange and is no reason to stop.
func TestNoFalseAlarm(t *testing.T) {
	for name, happens := range map[string]func(w *world){
		"the position has expired":                        func(w *world) { w.group.set(Committed{Offset: -1}) },
		"all records have expired":                        func(w *world) { w.log.expire(10) },
		"all records and the position have expired":       func(w *world) { w.log.expire(10); w.group.set(Committed{Offset: -1}) },
		"a declared range has expired":                    func(w *world) { w.declared(8, 9); w.log.expire(10) },
		"the beginning of a declared range has expired":   func(w *world) { w.declared(8, 9); w.log.expire(9) },
		"a declared range was stored long ago":            func(w *world) { w.declared(8, 9, func(d *Declaration) { d.At = d.At.AddDate(0, 0, -2) }) },
		"a declared range was made by unknown rules":      func(w *world) { w.declared(8, 9, func(d *Declaration) { d.Rules = "unknown" }) },
		"retention has removed the rows":                  func(w *world) { w.house.events.rows = nil },
		"retention has removed the rows and the position": func(w *world) { w.house.events.rows = nil; w.log.expire(10); w.group.set(Committed{Offset: -1}) },
		"a hole after the last stored row":                func(w *world) { w.log.append(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *world) {
				storeTen(t, w)
				happens(w)
				w.run(t)
				rest(time.Minute)
				w.events(90, 99)
				_, end := w.log.bounds()
				until(t, "it goes on", func() bool { return w.group.get() == Committed{Offset: end, Metadata: idle} })
				require.Empty(t, w.stopped())
				seen := map[int64]int{}
				for _, row := range w.house.events.rows {
					seen[row.KafkaOffset]++
					require.Equal(t, 1, seen[row.KafkaOffset], fmt.Sprint(row.KafkaOffset))
				}
			})
		})
	}
}

// TestAPartitionWaitsForTheSuppressionListOfItsFormerOwner: what an erasure has waited for must not be undone by a process
// that reads the list late.
func TestAPartitionWaitsForTheSuppressionListOfItsFormerOwner(t *testing.T) {
	for name, set := range map[string]func(w *world){
		"a range was declared":  func(w *world) { w.declared(8, 9, func(d *Declaration) { d.Suppression = 1 }) },
		"the position was idle": func(w *world) { w.group.set(Committed{Offset: 10, Metadata: idleAt(1)}) },
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *world) {
				storeTen(t, w)
				set(w)
				before := w.group.get()
				w.run(t)
				w.events(90, 99)
				rest(time.Hour)
				require.Equal(t, before, w.group.get())
				w.wish(suppression.Visitor, idOf(99), true)
				_, end := w.log.bounds()
				until(t, "it goes on", func() bool { return w.group.get() == Committed{Offset: end, Metadata: idleAt(1)} })
				require.Empty(t, w.stopped())
			})
		})
	}
}

// TestAnIdlePartitionShowsThatTheListHasChanged: an erasure need not wait for the next event.
func TestAnIdlePartitionShowsThatTheListHasChanged(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		w.run(t)
		until(t, "it is idle", func() bool { return w.group.get() == Committed{Metadata: idle} })
		w.wish(suppression.Visitor, idOf(99), true)
		until(t, "it has seen the wish", func() bool { return w.group.get() == Committed{Metadata: idleAt(1)} })
	})
}

// TestRecoveryOfAnInheritedRange: what the next owner does with a range that is declared and stored to some degree.
func TestRecoveryOfAnInheritedRange(t *testing.T) {
	long := func(d *Declaration) { d.At = time.Now().Add(-simLimits.TokenLife - time.Minute) }
	cases := map[string]struct {
		views int // reached by the owner before; -1: nothing is stored
		how   func(*Declaration)
		why   string
	}{
		"nothing is stored":                            {-1, func(*Declaration) {}, ""},
		"the rows are stored and the views are not":    {0, func(*Declaration) {}, ""},
		"the rows and a view are stored":               {1, func(*Declaration) {}, ""},
		"all is stored":                                {2, func(*Declaration) {}, ""},
		"nothing is stored for long":                   {-1, long, whyOld},
		"all is stored for long":                       {2, long, whyOld},
		"rules that this program cannot make, nothing": {-1, func(d *Declaration) { d.Rules = newerRules.rules.Hash() }, whyOtherRules},
		"rules that this program cannot make, a view":  {1, func(d *Declaration) { d.Rules = newerRules.rules.Hash() }, whyOtherRules},
		"the list has changed, nothing is stored":      {-1, func(*Declaration) {}, whySuppressions},
		"the list has changed, a view lacks":           {1, func(*Declaration) {}, whySuppressions},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *world) {
				w.house.saveRules(newerRules)
				w.events(1, 4)
				w.declared(0, 3, c.how)
				d, err := parseDeclaration(partition, 0, w.group.get().Metadata)
				require.NoError(t, err)
				if c.views >= 0 {
					_ = w.house.insert(d.Token(), w.rowsOf(*d), time.Now().Add(time.Second), c.views)
				}
				if c.why == whySuppressions {
					w.wish(suppression.Visitor, idOf(99), true)
				}
				w.run(t)
				until(t, "it is done", func() bool {
					return w.group.get() == Committed{Offset: 4, Metadata: idleAt(int64(len(w.wishes)))}
				})
				require.Equal(t, 4, w.stored())
				for i := range w.house.views {
					require.Len(t, w.house.views[i].rows, 4, "view %d", i)
				}
				if c.why == "" {
					require.Empty(t, w.house.rebuild)
				} else {
					require.Equal(t, []listed{{d.Range, c.why}}, w.house.rebuild)
				}
				for _, row := range w.house.events.rows {
					require.Equal(t, d.Day, row.BatchDay, "the rows of one range lie in one part, whoever stores them")
				}
			})
		})
	}
}

// TestRepeatsAreFoundWhileARebuildIsDue: the view that knows the event ids may lack those of a range, and nobody rebuilds
// it before the next batch.
func TestRepeatsAreFoundWhileARebuildIsDue(t *testing.T) {
	for name, happens := range map[string]func(w *world){
		"after an exception": func(w *world) {
			w.declared(0, 3, func(d *Declaration) { d.At = time.Now().Add(-simLimits.TokenLife - time.Minute) })
		},
		"after the position was lost": func(w *world) { w.group.set(Committed{Offset: -1}) },
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *world) {
				w.events(1, 4)
				w.declared(0, 3)
				d, err := parseDeclaration(partition, 0, w.group.get().Metadata)
				require.NoError(t, err)
				require.ErrorIs(t, w.house.insert(d.Token(), w.rowsOf(*d), time.Now().Add(time.Second), 0), errView)
				happens(w)
				w.run(t)
				rest(time.Hour)
				repeat := recordOf(0, time.Now(), hit(2, clientMade))
				w.log.append(&repeat)
				until(t, "it is done", func() bool { return w.group.get() == Committed{Offset: 5, Metadata: idle} })
				require.Equal(t, "eeeed", inShort(w.house.of(store.Range{Partition: partition, Last: 4})))
			})
		})
	}
}

// rowsOf are the rows of a declared range, as its owner has made them.
func (w *world) rowsOf(d Declaration) []store.Row {
	b := &batch{Range: d.Range}
	for offset := d.First; offset <= d.Last; offset++ {
		b.records = append(b.records, *w.log.records[offset])
	}
	m := newMaker()
	m.window = newWindow(10, time.Now().Add(-time.Hour))
	maker := m.rowMaker(b)
	maker.declaration = d
	made, err := makeAll(noContext, maker, b)
	if err != nil {
		panic(err)
	}
	return made.rows
}

// TestRecordsOfAllKindsGoThroughAWorker: one bad record never keeps the others back.
func TestRecordsOfAllKindsGoThroughAWorker(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		noTime := recordOf(0, time.Time{}, hit(1))
		bad, newer := garbage(0, time.Now()), newerSchema(0, time.Now(), 3)
		for _, m := range []*kafka.Message{{}, &noTime, nil, &bad, {Key: []byte{}, Value: []byte{}}, &newer, w.record(4, 0)} {
			w.log.append(m)
		}
		w.run(t)
		until(t, "all is stored", func() bool { return w.stored() == 7 })
		require.Equal(t, "xemxxxe", inShort(w.house.of(store.Range{Partition: partition, Last: 6})))
		require.Len(t, w.letters, 4)
		require.Empty(t, w.stopped())
	})
}
