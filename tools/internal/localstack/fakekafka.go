package localstack

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kfake"
)

// FakeKafka is a broker inside this process: needs no Java, starts at once, keeps everything in memory.
type FakeKafka struct {
	cluster *kfake.Cluster
	ports   *Ports
}

// StartFakeKafka starts a broker on a free port of 127.0.0.1. Topics are not made by themselves.
func StartFakeKafka() (*FakeKafka, error) {
	ports, err := ReservePorts(1)
	if err != nil {
		return nil, err
	}
	cluster, err := kfake.NewCluster(kfake.Ports(ports.Numbers...))
	if err != nil {
		return nil, fmt.Errorf("start the in-process kafka: %w", err)
	}
	return &FakeKafka{cluster: cluster, ports: ports}, nil
}

// Broker returns the host:port for clients.
func (f *FakeKafka) Broker() string { return Loopback(f.ports.Numbers[0]) }

// Cluster returns the broker itself, for its injected errors.
func (f *FakeKafka) Cluster() *kfake.Cluster { return f.cluster }

// Close ends the broker and forgets its data.
func (f *FakeKafka) Close() { f.cluster.Close() }
