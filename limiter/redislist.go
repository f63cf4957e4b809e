package limiter

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed redislist.lua
var listScript string

// listKey is the list of gateways of a fleet that has no database: a hash of a line for each.
const listKey = "postern:{nodes}"

// Beat renews this gateway's line in the list that Redis keeps for fleets without a database, and has
// the roster take in what it says. Times are the store's. To do it again does no harm.
func (r *Redis) Beat(ctx context.Context, roster *Roster) error {
	begun := time.Now()
	client, err := r.store.client(ctx, listKey)
	if err != nil {
		return fmt.Errorf("renew in the list of gateways: %w", unavailable(err, false))
	}
	reply, err := redis.NewScript(listScript).Run(ctx, client, []string{listKey}, roster.Self(),
		Lease.Microseconds(), strings.Join(roster.Reckoned(), "\n")).StringSlice()
	if err != nil {
		return fmt.Errorf("renew in the list of gateways: %w", unavailable(err, true))
	}
	roster.Beat(begun, peersOf(reply))
	return nil
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
