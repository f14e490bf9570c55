package localstack_test

import (
	"net"
	"runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/tools/internal/localstack"
)

func TestReservedPortsAreFreeAndGivenOnce(t *testing.T) {
	t.Setenv("ONEPX_CACHE", t.TempDir())
	seen := map[int]bool{}
	var all []*localstack.Ports
	for range 20 {
		ports, err := localstack.ReservePorts(5)
		require.NoError(t, err)
		require.Len(t, ports.Numbers, 5)
		all = append(all, ports)
		for _, port := range ports.Numbers {
			require.False(t, seen[port], "port %d was given twice", port)
			seen[port] = true
			require.GreaterOrEqual(t, port, 20000)
			require.Less(t, port, 32000)
			l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
			require.NoError(t, err)
			require.NoError(t, l.Close())
		}
	}
	runtime.KeepAlive(all)
}
