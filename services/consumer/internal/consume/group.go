package consume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/pause"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// Group is this process's membership of the consumer group.
type Group struct {
	Kafka Kafka
	Topic string
	// SessionTimeout is how long a silent member keeps its partitions; well over the insert deadline.
	SessionTimeout time.Duration
	// StopTimeout is how long workers may take to finish what they have declared when the process stops.
	StopTimeout time.Duration
	// Worker is what all workers have; the group adds the partition and its connection to Kafka.
	Worker Deps
	Logger *slog.Logger
	Now    func() time.Time

	working atomic.Bool
}

// Working tells whether this process has joined the group and found where to go on in every partition it got.
func (g *Group) Working() bool { return g.working.Load() }

// rejoinPause keeps a member that leaves again and again from keeping the whole group busy.
const rejoinPause = time.Second

// Run works until the context ends. It returns an error only when the group's settings are wrong.
func (g *Group) Run(stopping context.Context) error {
	outage := telemetry.NewOutageLog(g.Logger, "joining the consumer group", g.Now)
	for stopping.Err() == nil {
		// A member that joins while the topic is missing gets no partitions, and keeps none when it is made.
		if err := g.topicExists(stopping); err != nil {
			outage.Failed(err)
			_ = pause.For(stopping, rejoinPause)
			continue
		}
		// A new ConsumerGroup is a new member: a commit of the old one that is still on its way is refused from now on. A
		// member that joins again under its old id may get the same generation back.
		member, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
			ID: g.Kafka.Group, Brokers: g.Kafka.Brokers, Dialer: g.Kafka.Dialer, Topics: []string{g.Topic},
			SessionTimeout: g.SessionTimeout, RebalanceTimeout: g.SessionTimeout, HeartbeatInterval: g.SessionTimeout / 10,
			JoinGroupBackoff: rejoinPause, StartOffset: kafka.FirstOffset,
		})
		if err != nil {
			return err
		}
		g.generations(stopping, member, outage)
		_ = member.Close()
		_ = pause.For(stopping, rejoinPause)
	}
	return nil
}

// topicExists returns an error unless the topic has partitions now. It asks on a new connection: what Client knows of topics
// may be some seconds old.
func (g *Group) topicExists(ctx context.Context) error {
	var errs []error
	for _, broker := range g.Kafka.Brokers {
		partitions, err := g.Kafka.Dialer.LookupPartitions(ctx, "tcp", broker, g.Topic)
		if err == nil && len(partitions) > 0 {
			return nil
		}
		errs = append(errs, fmt.Errorf("look for topic %s: %w", g.Topic, err))
	}
	return errors.Join(errs...)
}

// generations runs one generation after the other until a worker asks to leave the group, or the context ends.
func (g *Group) generations(stopping context.Context, member *kafka.ConsumerGroup, outage *telemetry.OutageLog) {
	leaving, leave := context.WithCancel(stopping)
	defer leave()
	for {
		generation, err := member.Next(leaving)
		switch {
		case leaving.Err() != nil:
			return
		case err != nil:
			// The first answers of a new cluster are errors; the group tries again by itself.
			outage.Failed(err)
			continue
		}
		outage.Recovered()
		finished := g.start(stopping, generation, leave)
		if g.waitForEnd(stopping, leaving, finished) {
			return
		}
	}
}

// start runs a worker for each assigned partition. The channel is closed when all have ended.
func (g *Group) start(stopping context.Context, generation *kafka.Generation, leave func()) <-chan struct{} {
	assigned := generation.Assignments[g.Topic]
	g.Logger.Info("joined the consumer group", "generation", generation.ID, "partitions", len(assigned))
	var workers sync.WaitGroup
	var began []<-chan struct{}
	finished := make(chan struct{})
	for _, a := range assigned {
		p := store.Partition{Topic: g.Topic, ID: a.ID}
		deps := g.Worker
		deps.Partition, deps.Log = p, g.Kafka.Log(p)
		deps.Positions = groupPositions{Kafka: g.Kafka, partition: p, generation: generation.ID, member: generation.MemberID}
		worker := NewWorker(deps)
		workers.Add(1)
		began = append(began, worker.began)
		generation.Start(func(ctx context.Context) {
			err := worker.Run(ctx, stopping)
			if err != nil && !errors.Is(err, ErrGenerationOver) {
				leave() // before the generation counts as finished, or the next one would begin under the same member
			}
			workers.Done()
			if err != nil {
				g.Logger.Warn("giving up the generation", "partition", p.ID, "error", err)
				return
			}
			// The first function that returns ends the generation for all: wait for the others.
			select {
			case <-finished:
			case <-ctx.Done():
			}
		})
	}
	go func() {
		for _, b := range began {
			<-b
		}
		g.working.Store(true)
		workers.Wait()
		close(finished)
	}()
	return finished
}

// waitForEnd waits until all workers of the generation have ended; true means that the member is to be closed.
func (g *Group) waitForEnd(stopping, leaving context.Context, finished <-chan struct{}) bool {
	select {
	case <-finished:
		return leaving.Err() != nil
	case <-leaving.Done():
	}
	if stopping.Err() != nil {
		select {
		case <-finished:
		case <-time.After(g.StopTimeout):
			g.Logger.Warn("workers did not finish in time; the next owner finishes their batches")
		}
	}
	return true
}
