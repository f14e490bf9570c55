package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/onepx/onepx/tools/internal/load"
)

// kind is what a round does to the system.
type kind struct {
	// fault breaks something. When it returns, everything runs again.
	fault func(context.Context, *world) error
	// rate is events a second of the load meanwhile; 0 means the usual rate, silence none at all.
	rate float64
	// filler is how many bytes the load's events are larger than usual.
	filler int
	// balanced load goes to ready collectors only, as behind a load balancer.
	balanced bool
	// long kinds are drawn only where there are rounds for every kind, and only once.
	long bool
	// check looks at the round's answers and rows, besides what is true of every round; nil means there is nothing more.
	check func(answers) error
}

// silence is the rate of a round that makes its own load.
const silence = -1

// drillKind is the kind that is always first: whether a fault is told must not be left to chance.
const drillKind = "alerts"

var kinds = map[string]kind{
	"kill-collector":  {fault: killCollector},
	"kill-consumer":   {fault: killConsumer},
	"kill-declared":   {fault: killDeclared},
	"kill-kafka":      {fault: killKafka},
	"kill-clickhouse": {fault: killClickHouse},
	"view-fails":      {fault: viewFails},
	"pause-consumer":  {fault: pauseConsumer},
	"kafka-away":      {fault: kafkaAway, check: spoolsTakeAll},
	"clickhouse-away": {fault: clickHouseAway},
	"offsets-reset":   {fault: offsetsReset},

	"kafka-away-long": {fault: kafkaAwayLong, rate: 100, long: true, check: spoolsTakeAll},
	"kill-spooling":   {fault: killSpooling, check: someSpooled},
	"kill-replaying":  {fault: killReplaying, check: someSpooled},
	"spool-full":      {fault: spoolFull, filler: 8 << 10, check: someTurned},
	"rolling-restart": {fault: rollingRestart, balanced: true, check: noneTurned},
	"crowd":           {fault: crowd, rate: silence, check: wholeCrowd},

	drillKind: {fault: drillAlerts},

	"net-client-collector":    {fault: network(clientToCollector)},
	"net-collector-kafka":     {fault: network(collectorToKafka), check: someSpooled},
	"net-consumer-kafka":      {fault: network(consumerToKafka)},
	"net-consumer-clickhouse": {fault: network(consumerToClickHouse)},
}

func kindNames() []string { return slices.Sorted(maps.Keys(kinds)) }

// order draws the kinds of the rounds: first the drill of alerts, then all others, shuffled, before any comes again.
func order(only string, rounds int, seed uint64) ([]string, error) {
	if only != "" {
		if kinds[only].fault == nil {
			return nil, fmt.Errorf("--only: no kind of fault is called %q; there are %s", only, strings.Join(kindNames(), ", "))
		}
		return slices.Repeat([]string{only}, rounds), nil
	}
	random := rand.New(rand.NewPCG(seed, 1))
	all := slices.DeleteFunc(kindNames(), func(name string) bool { return name == drillKind })
	short := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return kinds[name].long })
	order := []string{drillKind}
	for len(order) < rounds {
		names := short
		if len(order) == 1 && rounds > len(all) {
			names = all
		}
		random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		order = append(order, names...)
	}
	return order[:rounds], nil
}

// answers are a round's events by their last answer.
type answers struct {
	byWord map[string]int
	// turned is how many requests were answered, but not as stored; unstored how many events were never answered as stored.
	turned, unstored int
	// counted is how many more events are counted than before the round.
	counted int
}

func (a *answers) note(r load.Result) {
	a.byWord[r.Answer]++
	a.turned += r.Turned
	if r.Outcome != load.Stored {
		a.unstored++
	}
}

// String lists the collectors' answers, and how often there was none.
func (a answers) String() string {
	var words []string
	silent := 0
	for _, word := range slices.Sorted(maps.Keys(a.byWord)) {
		if word == load.Stored || word == spooled || strings.HasPrefix(word, "rejected") {
			words = append(words, fmt.Sprintf("%s=%d", strings.TrimPrefix(word, "rejected; reason="), a.byWord[word]))
		} else {
			silent += a.byWord[word]
		}
	}
	return strings.Join(append(words, fmt.Sprintf("none=%d", silent)), " ")
}
