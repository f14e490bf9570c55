package localstack

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/gofrs/flock"
)

// Ports are chosen below the ranges from which Linux (32768 up) and macOS (49152 up) take ports of outgoing connections:
// a part that is down for a while finds its port free.
const (
	firstPort = 20000
	lastPort  = 31999
)

// Ports are TCP ports of 127.0.0.1 that no other user of this package on this machine gets as long as the value is
// reachable and the process lives, also while nothing listens on them. They are in Numbers.
type Ports struct {
	Numbers []int
	locks   []*flock.Flock
}

// ReservePorts returns n different ports on which nothing listens.
func ReservePorts(n int) (*Ports, error) {
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "ports")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("reserve ports: %w", err)
	}
	p := &Ports{}
	for range 1000 {
		if len(p.Numbers) == n {
			return p, nil
		}
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		lock := flock.New(filepath.Join(dir, strconv.Itoa(port)))
		if locked, err := lock.TryLock(); err != nil {
			return nil, fmt.Errorf("reserve ports: %w", err)
		} else if !locked {
			continue
		}
		if !portFree(port) {
			_ = lock.Close()
			continue
		}
		p.Numbers = append(p.Numbers, port)
		p.locks = append(p.locks, lock)
	}
	return nil, errors.New("reserve ports: found none free in 1000 attempts")
}

func portFree(port int) bool {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", Loopback(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// Loopback is the address host:port of a port on this machine.
func Loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
