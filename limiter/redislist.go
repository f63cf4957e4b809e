package limiter

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

//go:embed redislist.lua
var listScript string

// listKey is the list of gateways of a fleet that has no database: a hash of a line for each.
const listKey = "postern:{nodes}"

// ErrNodeTaken says that another gateway runs under this one's id, or did until a moment ago.
var ErrNodeTaken = errors.New("another gateway runs under this node id")

// Beat renews this gateway's line in the list that Redis keeps for fleets without a database, and has
// the roster take in what it says. Times are the store's. To do it again does no harm. ErrNodeTaken: the
// line is another gateway's; one that was killed holds it for Lease.
func (r *Redis) Beat(ctx context.Context, roster *Roster) error {
	begun := roster.now()
	reply, err := r.list(ctx, roster, "beat")
	if err != nil {
		return fmt.Errorf("renew in the list of gateways: %w", err)
	}
	roster.Beat(begun, peersOf(reply))
	return nil
}

// Leave takes this gateway's line out of the list, for when it admits nothing any more.
func (r *Redis) Leave(ctx context.Context, roster *Roster) error {
	if _, err := r.list(ctx, roster, "leave"); err != nil {
		return fmt.Errorf("leave the list of gateways: %w", err)
	}
	return nil
}

func (r *Redis) list(ctx context.Context, roster *Roster, what string) ([]string, error) {
	client, err := r.store.client(ctx, listKey)
	if err != nil {
		return nil, unavailable(err, false)
	}
	reply, err := redis.NewScript(listScript).Run(ctx, client, []string{listKey}, roster.self, roster.boot, what,
		Lease.Microseconds(), strings.Join(roster.Reckoned(), "\n")).StringSlice()
	switch {
	case err != nil && strings.HasPrefix(err.Error(), "TAKEN"):
		return nil, fmt.Errorf("%w: %s", ErrNodeTaken, roster.self)
	case err != nil:
		return nil, unavailable(err, true)
	}
	return reply, nil
}

// peersOf reads the script's reply: an id and what its gateway reckons with, for each.
func peersOf(reply []string) []Peer {
	var peers []Peer
	for i := 0; i+1 < len(reply); i += 2 {
		line, lost := strings.CutPrefix(reply[i+1], "!")
		peers = append(peers, Peer{ID: reply[i], Sees: strings.Split(line, "\n"), Lost: lost})
	}
	return peers
}
