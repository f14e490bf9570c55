//go:build integration

package localstack_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/onepx/onepx/tools/internal/localstack"
)

// query runs one statement over HTTP and returns the answer without the last newline, whether or not it is an error.
func query(ctx context.Context, url, sql string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(sql))
	if err != nil {
		return "", err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return strings.TrimSuffix(string(body), "\n"), err
}

func startClickHouse(t *testing.T, cfg localstack.ClickHouseConfig) (*localstack.ClickHouse, func(sql string) string) {
	t.Helper()
	cfg.Dir, cfg.Progress = t.TempDir(), os.Stderr
	c, err := localstack.StartClickHouse(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop()) })
	return c, func(sql string) string {
		t.Helper()
		answer, err := query(t.Context(), c.HTTPURL(), sql)
		require.NoError(t, err)
		return answer
	}
}

func TestClickHouseKeepsItsRowsOverKillAndStop(t *testing.T) {
	c, run := startClickHouse(t, localstack.ClickHouseConfig{})
	require.Empty(t, run("CREATE DATABASE shop"))
	require.Empty(t, run("CREATE TABLE shop.t (n UInt32) ENGINE = MergeTree ORDER BY n"))
	address := c.NativeAddr()
	for n, end := range []func() error{c.Kill, c.Kill, c.Stop} {
		require.Empty(t, run("INSERT INTO shop.t SELECT number FROM numbers(1000)"))
		require.NoError(t, end())
		_, err := net.Dial("tcp", address)
		require.Error(t, err)
		require.NoError(t, c.Start(t.Context()))
		require.Equal(t, []string{"1000", "2000", "3000"}[n], run("SELECT count() FROM shop.t"))
	}
	require.Equal(t, address, c.NativeAddr())
}

func TestAPausedClickHouseAnswersAfterItIsResumed(t *testing.T) {
	c, run := startClickHouse(t, localstack.ClickHouseConfig{})
	require.NoError(t, c.Pause())
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := query(ctx, c.HTTPURL(), "SELECT 1")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, c.Resume())
	require.Equal(t, "1", run("SELECT 1"))
}

func TestWithAPasswordOnlyItsUserReadsTables(t *testing.T) {
	c, run := startClickHouse(t, localstack.ClickHouseConfig{User: "onepx", Password: "p@ss<word>"})
	require.Empty(t, run("CREATE DATABASE shop"))
	require.Empty(t, run("CREATE TABLE shop.t (n UInt32) ENGINE = MergeTree ORDER BY n"))
	_, host, _ := strings.Cut(c.HTTPURL(), "@")
	for name, credentials := range map[string]string{
		"without a login":       "",
		"as default":            "default@",
		"with a wrong password": "onepx:word@",
	} {
		answer, err := query(t.Context(), "http://"+credentials+host, "SELECT count() FROM shop.t")
		require.NoError(t, err)
		require.Contains(t, answer, "DB::Exception", name)
	}
	require.Equal(t, "0", run("SELECT count() FROM shop.t"))
}

func TestAClientThatLeavesDoesNotEndClickHouse(t *testing.T) {
	c, run := startClickHouse(t, localstack.ClickHouseConfig{})
	for range 5 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(c.HTTPURL(), "http://"))
		require.NoError(t, err)
		_, err = conn.Write([]byte("GET /?query=SELECT+number+FROM+numbers(10000000) HTTP/1.0\r\n\r\n"))
		require.NoError(t, err)
		_, err = conn.Read(make([]byte, 10))
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
	require.Equal(t, "1", run("SELECT 1"))
}

func startKafka(t *testing.T, cfg localstack.KafkaConfig) (*localstack.Kafka, *kgo.Client) {
	t.Helper()
	cfg.Dir, cfg.Progress = t.TempDir(), os.Stderr
	k, err := localstack.StartKafka(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, k.Stop()) })
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Broker()), kgo.DefaultProduceTopic("t"),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"t": {0: kgo.NewOffset().AtStart()}}))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	req := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "t", 1, 1
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(t.Context(), client)
	require.NoError(t, err)
	require.Zero(t, resp.Topics[0].ErrorCode)
	return k, client
}

func TestKafkaKeepsItsRecordsOverKillAndStop(t *testing.T) {
	k, client := startKafka(t, localstack.KafkaConfig{})
	address := k.Broker()
	for n, end := range []func() error{k.Kill, k.Stop} {
		want := []string{"before the kill", "before the stop"}[n]
		require.NoError(t, client.ProduceSync(t.Context(), kgo.StringRecord(want)).FirstErr())
		require.NoError(t, end())
		require.NoError(t, k.Start(t.Context()))
		fetched := client.PollRecords(t.Context(), 1)
		require.NoError(t, fetched.Err())
		require.Equal(t, want, string(fetched.Records()[0].Value))
	}
	require.Equal(t, address, k.Broker())
}

func TestKafkaMakesNoTopicByItself(t *testing.T) {
	_, client := startKafka(t, localstack.KafkaConfig{})
	req := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr("unknown")
	req.Topics, req.AllowAutoTopicCreation = append(req.Topics, topic), true
	resp, err := req.RequestWith(t.Context(), client)
	require.NoError(t, err)
	require.ErrorIs(t, kerr.ErrorForCode(resp.Topics[0].ErrorCode), kerr.UnknownTopicOrPartition)
}

func TestClientsOfTheProxiedListenerStayBehindTheProxy(t *testing.T) {
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer proxy.Close()
	k, _ := startKafka(t, localstack.KafkaConfig{Advertised: []string{proxy.Addr().String()}})
	client, err := kgo.NewClient(kgo.SeedBrokers(k.ProxiedAddr(0)))
	require.NoError(t, err)
	defer client.Close()
	resp, err := kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), client)
	require.NoError(t, err)
	require.Equal(t, proxy.Addr().String(), fmt.Sprintf("%s:%d", resp.Brokers[0].Host, resp.Brokers[0].Port))
}

func TestTwoStacksRunSideBySide(t *testing.T) {
	first, run := startClickHouse(t, localstack.ClickHouseConfig{})
	second, _ := startClickHouse(t, localstack.ClickHouseConfig{})
	require.NotEqual(t, first.NativeAddr(), second.NativeAddr())
	require.NoError(t, second.Kill())
	require.Equal(t, "1", run("SELECT 1"))
}

func TestALibraryThatAbortsIsStartedAgainWithItsRows(t *testing.T) {
	house, ask := startClickHouse(t, localstack.ClickHouseConfig{})
	ask("CREATE TABLE kept (n UInt64) ENGINE = MergeTree ORDER BY n")
	ask("INSERT INTO kept VALUES (7)")
	before := house.PID()
	require.NoError(t, syscall.Kill(before, syscall.SIGABRT))
	require.Eventually(t, func() bool {
		got, err := query(t.Context(), house.HTTPURL(), "SELECT n FROM kept")
		return err == nil && strings.TrimSpace(got) == "7"
	}, time.Minute, 100*time.Millisecond)
	require.NotEqual(t, before, house.PID())
}
