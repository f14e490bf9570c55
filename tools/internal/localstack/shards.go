package localstack

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"golang.org/x/sync/errgroup"
)

// ClusterName is what servers of StartShards call their cluster.
const ClusterName = "onepx"

// clusterXML is the cluster of that name in remote_servers.
type clusterXML struct {
	Shards []shardXML `xml:"shard"`
}

type shardXML struct {
	Host string `xml:"replica>host"`
	Port int    `xml:"replica>port"`
}

// macrosXML are the names by which a server finds its place in Keeper.
type macrosXML struct {
	Shard   string `xml:"shard"`
	Replica string `xml:"replica"`
}

// StartShards starts n servers that are the shards of one cluster, each with data of its own in a folder of cfg.Dir named by its
// number from 1 on, and of one replica: they have no Keeper.
func StartShards(ctx context.Context, cfg ClickHouseConfig, n int) (_ []*ClickHouse, err error) {
	cluster := &clusterXML{}
	ports := make([]*Ports, n)
	for i := range ports {
		if ports[i], err = ReservePorts(2); err != nil {
			return nil, err
		}
		cluster.Shards = append(cluster.Shards, shardXML{Host: "127.0.0.1", Port: ports[i].Numbers[0]})
	}
	started := make([]*ClickHouse, n)
	group, ctx := errgroup.WithContext(ctx)
	for i := range started {
		group.Go(func() (err error) {
			of := cfg
			of.Dir, of.LogFile = filepath.Join(cfg.Dir, strconv.Itoa(i+1)), ""
			started[i], err = startClickHouse(ctx, of, ports[i], cluster)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		for _, c := range started {
			if c != nil {
				err = errors.Join(err, c.Kill())
			}
		}
		return nil, fmt.Errorf("start shards: %w", err)
	}
	return started, nil
}
