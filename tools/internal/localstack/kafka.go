package localstack

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// KafkaConfig says where a broker lives and by which addresses it is reached.
type KafkaConfig struct {
	// Dir holds data and configuration; a broker started again in it has the same data. Required, absolute.
	Dir string
	// LogFile takes the broker's log; empty means kafka.log in Dir.
	LogFile string
	// Advertised gives the broker a further listener for each (see ProxiedAddr) that tells its clients to come to this
	// host:port: the address of a proxy in front of it.
	Advertised []string
	// WholeHeap has the JVM take all of its heap at the start, so that the process's memory grows only by what is not heap.
	WholeHeap bool
	// Security, unless nil, adds a listener with logins and rights.
	Security *KafkaSecurity
	// Progress takes messages about downloads for people; nil means nowhere.
	Progress io.Writer
}

// Kafka is a real Apache Kafka: one node that is broker and controller. Topics are not made by themselves, consumer
// groups rebalance at once and may have session timeouts from 1 s. Start after Stop or Kill keeps ports and data.
type Kafka struct {
	*Process
	cfg   KafkaConfig
	ports *Ports // clients, controller, clients through each proxy, clients who log in
}

// StartKafka starts a broker on free ports of 127.0.0.1 and waits until it answers and can coordinate groups.
func StartKafka(ctx context.Context, cfg KafkaConfig) (*Kafka, error) {
	if cfg.Progress == nil {
		cfg.Progress = io.Discard
	}
	if cfg.LogFile == "" {
		cfg.LogFile = filepath.Join(cfg.Dir, "kafka.log")
	}
	jars, err := fetchKafka(ctx, cfg.Progress)
	if err != nil {
		return nil, fmt.Errorf("start kafka: %w", err)
	}
	n := 2 + len(cfg.Advertised)
	if cfg.Security != nil {
		n++
	}
	ports, err := ReservePorts(n)
	if err != nil {
		return nil, err
	}
	k := &Kafka{cfg: cfg, ports: ports}
	if err := k.writeConfig(); err != nil {
		return nil, fmt.Errorf("start kafka: %w", err)
	}
	java := []string{
		"-Djava.io.tmpdir=" + k.cfg.Dir, "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", // for a fast start on few cores
		"-Dlog4j2.configurationFile=" + k.path("log4j2.properties"), "-cp", filepath.Join(jars, "*"),
	}
	if err := k.format(ctx, java); err != nil {
		return nil, fmt.Errorf("start kafka: %w", err)
	}
	if cfg.WholeHeap {
		java = append([]string{"-Xms512m", "-XX:+AlwaysPreTouch"}, java...)
	}
	k.Process, err = StartProcess(ctx, ProcessConfig{
		Name: "kafka", Path: "java", Args: append(java, "kafka.Kafka", k.path("server.properties")),
		Dir: cfg.Dir, LogFile: cfg.LogFile,
		Ready: func(ctx context.Context) error { return kafkaReady(ctx, k.Broker()) },
	})
	if err != nil {
		return nil, err
	}
	return k, nil
}

// Broker returns the host:port for clients.
func (k *Kafka) Broker() string { return Loopback(k.ports.Numbers[0]) }

// ProxiedAddr returns the host:port to which the proxy at KafkaConfig.Advertised[i] forwards.
func (k *Kafka) ProxiedAddr(i int) string { return Loopback(k.ports.Numbers[2+i]) }

func (k *Kafka) path(name string) string { return filepath.Join(k.cfg.Dir, name) }

// kafkaProperties are the settings that do not depend on ports. The broker's session is short because after a kill the
// controller lets the broker in only when its old session has ended.
const kafkaProperties = `process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENT
auto.create.topics.enable=false
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.replication.factor=1
`

// kafkaLogging sends the log to standard output, without the dumps of the whole configuration.
const kafkaLogging = `rootLogger.level=info
rootLogger.appenderRef.out.ref=out
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{yyyy-MM-dd HH:mm:ss.SSS} %p %c{1}: %m%n
logger.values.name=org.apache.kafka.common.config
logger.values.level=warn
logger.server.name=kafka.server.KafkaConfig
logger.server.level=warn
`

// properties returns the broker's whole configuration.
func (k *Kafka) properties() string {
	controller := Loopback(k.ports.Numbers[1])
	listeners := "CLIENT://" + k.Broker() + ",CONTROLLER://" + controller
	advertised := "CLIENT://" + k.Broker()
	protocols := "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT"
	for i, proxy := range k.cfg.Advertised {
		listeners += fmt.Sprintf(",PROXIED%d://%s", i, k.ProxiedAddr(i))
		advertised += fmt.Sprintf(",PROXIED%d://%s", i, proxy)
		protocols += fmt.Sprintf(",PROXIED%d:PLAINTEXT", i)
	}
	var security []string
	if k.cfg.Security != nil {
		listeners += "," + secureListener + "://" + k.SecureAddr()
		advertised += "," + secureListener + "://" + k.SecureAddr()
		protocols += "," + secureListener + ":SASL_SSL"
		security = k.cfg.Security.properties()
	}
	return kafkaProperties + strings.Join(append(security,
		"controller.quorum.voters=1@"+controller,
		"listeners="+listeners,
		"advertised.listeners="+advertised,
		"listener.security.protocol.map="+protocols,
		"log.dirs="+k.path("data"),
	), "\n") + "\n"
}

func (k *Kafka) writeConfig() error {
	return errors.Join(
		os.MkdirAll(k.cfg.Dir, 0o755),
		os.WriteFile(k.path("server.properties"), []byte(k.properties()), 0o644),
		os.WriteFile(k.path("log4j2.properties"), []byte(kafkaLogging), 0o644),
	)
}

// format gives a new data directory its cluster id.
func (k *Kafka) format(ctx context.Context, java []string) error {
	if _, err := os.Stat(filepath.Join(k.path("data"), "meta.properties")); err == nil {
		return nil
	}
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return err
	}
	args := append([]string{}, java...)
	args = append(args, "kafka.tools.StorageTool", "format", "-c", k.path("server.properties"),
		"--cluster-id="+base64.RawURLEncoding.EncodeToString(id)) // the id may begin with a dash
	args = append(args, k.cfg.Security.formatArgs()...)
	if out, err := exec.CommandContext(ctx, "java", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("format the data directory: %w\n%s", err, out)
	}
	return nil
}

// kafkaReady asks a broker for the group coordinator, which makes it create its offsets topic, and whether it knows itself: it
// may listen before it has heard of its registration, and clients would find no broker then.
func kafkaReady(ctx context.Context, broker string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		return err
	}
	defer client.Close()
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKeys = []string{"ready"}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for _, c := range resp.Coordinators {
		if err := kerr.ErrorForCode(c.ErrorCode); err != nil {
			return fmt.Errorf("find a group coordinator: %w", err)
		}
	}
	metadata, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, client)
	if err != nil {
		return err
	}
	if len(metadata.Brokers) == 0 || metadata.ControllerID < 0 {
		return errors.New("the broker knows no broker or no controller yet")
	}
	return nil
}
