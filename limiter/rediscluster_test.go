//go:build realservers

package limiter_test

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// joinCluster makes a cluster of servers that were started with cluster-enabled, slots dealt in order.
func joinCluster(t testing.TB, servers []*server) {
	t.Helper()
	ctx := context.Background()
	for i, s := range servers {
		from, to := 16384*i/len(servers), 16384*(i+1)/len(servers)-1
		must(t, s.ClusterAddSlotsRange(ctx, from, to).Err())
		host, port, _ := net.SplitHostPort(servers[0].addr)
		if i > 0 {
			must(t, s.Do(ctx, "cluster", "meet", host, port, servers[0].busPort).Err())
		}
	}
	for _, s := range servers {
		eventually(t, 30*time.Second, "the cluster is whole", func() bool {
			info := s.ClusterInfo(ctx).Val()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_assigned:16384") && strings.Contains(info, fmt.Sprint("cluster_known_nodes:", len(servers)))
		})
	}
}

// startNode starts one server of a cluster. By default the port of its bus is 10000 above, which may be no
// port at all.
func startNode(t testing.TB, args ...string) *server {
	bus := freePort(t)
	s := startRedis(t, append(args, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus), "--cluster-node-timeout", "2000",
		"--cluster-require-full-coverage", "no")...)
	s.busPort = bus
	return s
}

func startCluster(t testing.TB, n int) (servers []*server, addrs []string) {
	t.Helper()
	for range n {
		s := startNode(t)
		servers, addrs = append(servers, s), append(addrs, s.addr)
	}
	joinCluster(t, servers)
	return servers, addrs
}

// startCutCluster is a cluster of one whose clients are told to come over a cable.
func startCutCluster(t testing.TB) (*cable, []string) {
	t.Helper()
	port := freePort(t)
	s := startNode(t, "--cluster-announce-ip", "127.0.0.1", "--cluster-announce-port", strconv.Itoa(port))
	line := layAt(t, port, s.addr)
	joinCluster(t, []*server{s})
	return line, []string{line.addr}
}

// slotOwner returns the server that holds a slot, and another one.
func slotOwner(t testing.TB, servers []*server, slot int64) (owner, other *server) {
	for i, s := range servers {
		if int64(16384*i/len(servers)) <= slot && slot < int64(16384*(i+1)/len(servers)) {
			owner = s
		} else {
			other = s
		}
	}
	return owner, other
}

func nodeID(t testing.TB, s *server) string {
	t.Helper()
	id, err := s.Do(context.Background(), "cluster", "myid").Text()
	must(t, err)
	return id
}
