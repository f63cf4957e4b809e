package limiter

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// exchange sends the batches' calls and reads the replies. It follows MOVED and ASK once and loads
// the script where it is missing: those calls did not run. Nothing else is sent a second time.
func (r *Redis) exchange(l *lane, list []*batch, until time.Time) {
	ctx, cancel := context.WithDeadline(context.Background(), until)
	defer cancel()
	for _, b := range list {
		b.prepare(ctx, r.digest, &r.field)
	}
	r.calls.Add(int64(len(list)))
	roundTrip(ctx, l.client, list)
	var missing, moved []*batch
	for _, b := range list {
		switch err := b.cmd.Err(); {
		case err == nil:
		case strings.HasPrefix(err.Error(), "NOSCRIPT"):
			missing = append(missing, b)
		case isRedirect(err):
			moved = append(moved, b)
		}
	}
	if missing != nil {
		for _, b := range missing {
			b.again(ctx, r.script)
		}
		roundTrip(ctx, l.client, missing)
	}
	for _, b := range moved {
		r.follow(ctx, b)
	}
}

func isRedirect(err error) bool {
	_, moved := redis.IsMovedError(err)
	_, ask := redis.IsAskError(err)
	return moved || ask
}

// follow sends a call to where the cluster says its keys are; by EVAL, which needs no second try where the
// script is missing.
func (r *Redis) follow(ctx context.Context, b *batch) {
	if r.store.cluster == nil {
		return // what stands in the command says enough
	}
	b.args[3] = string(b.wire.key(0)) // by which the client finds the slot
	b.again(ctx, r.script)
	b.blame(r.store.cluster.Process(ctx, once{b.cmd}))
}

// roundTrip sends the calls on one connection. What came of each stands in its command.
func roundTrip(ctx context.Context, client *redis.Client, list []*batch) {
	if len(list) == 1 {
		list[0].blame(client.Process(ctx, list[0].cmd))
		return
	}
	pipe := client.Pipeline()
	for _, b := range list {
		_ = pipe.Process(ctx, b.cmd) // only queues it
	}
	_, err := pipe.Exec(ctx)
	for _, b := range list {
		b.blame(err)
	}
}

// prepare makes the command of b. Its arguments are b's own memory, kept from call to call.
func (b *batch) prepare(ctx context.Context, digest any, field *wireArg) {
	n := len(b.wire.ends)
	if cap(b.room) < n+1 {
		b.room = make([]wireArg, n+1)
	}
	b.room, b.written = b.room[:n+1], false
	b.args = append(b.args[:0], "evalsha", digest, n)
	for i := range n {
		b.room[i].bytes = b.wire.key(i)
		b.args = append(b.args, &b.room[i])
	}
	b.room[n] = wireArg{bytes: b.packed, written: &b.written}
	b.args = append(b.args, &b.room[n], field)
	b.cmd = redis.NewStringCmd(ctx, b.args...)
}

// again makes the command anew with the script's text, after it did not run.
func (b *batch) again(ctx context.Context, script any) {
	b.written, b.err = false, nil
	b.args[0], b.args[1] = "eval", script
	b.cmd = redis.NewStringCmd(ctx, b.args...)
}

// blame notes an error of a round trip for commands that know none of their own: those that were
// never sent.
func (b *batch) blame(err error) {
	if err != nil && b.cmd.Err() == nil && b.cmd.Val() == "" {
		b.err = err
	}
}

// outcome is what came of the call: a verdict, or an error that wraps ErrUnavailable.
func (b *batch) outcome() (verdict, error) {
	if b.cmd == nil {
		return "", unavailable(errBadReply, b.written) // a panic
	}
	text, err := b.cmd.Result()
	if err == nil {
		err = b.err
	}
	if err != nil {
		return "", unavailable(err, b.written && !didNotRun(err))
	}
	v := verdict(text)
	if !v.over() && !v.fits(len(b.wire.ends)) {
		return "", unavailable(errBadReply, true)
	}
	return v, nil
}
