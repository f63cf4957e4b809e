package store

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/internal/keys"
)

// channel is where a transaction notifies of the change number that it commits.
const channel = "postern_changes"

// How long a listener that lost its connection waits before it tries again: doubling.
const (
	firstListenPause   = 100 * time.Millisecond
	longestListenPause = 5 * time.Second
)

// listener rings the bell when another process has committed. It has a connection of its own. While it has
// none, polling carries the changes, see Store.Wait.
type listener struct {
	config *pgx.ConnConfig
	bell   *bell
	log    *slog.Logger
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// listen starts a listener; end stops it.
func startListener(config *pgx.ConnConfig, b *bell, log *slog.Logger) *listener {
	ctx, cancel := context.WithCancel(context.Background())
	l := &listener{config: config, bell: b, log: log, cancel: cancel}
	l.done.Go(func() { l.run(ctx) })
	return l
}

func (l *listener) end() {
	l.cancel()
	l.done.Wait()
}

func (l *listener) run(ctx context.Context) {
	pause, told := firstListenPause, false
	for ctx.Err() == nil {
		err := l.session(ctx, func() { pause, told = firstListenPause, false })
		if ctx.Err() != nil {
			return
		}
		if !told {
			l.log.Warn("PostgreSQL does not notify of changes for now; they are looked for instead", "every", pollEvery.String(), "error", err)
			told = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, longestListenPause)
	}
}

// session listens on one connection until that ends.
func (l *listener) session(ctx context.Context, listening func()) error {
	conn, err := pgx.ConnectConfig(ctx, l.config)
	if err != nil {
		return err
	}
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ending) // nothing was left to say
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	listening()
	for {
		// What came before this connection listened is found here too.
		if err := l.look(ctx, conn); err != nil {
			return err
		}
		for {
			n, err := conn.WaitForNotification(ctx)
			if err != nil {
				return err
			}
			// The number spares a look where this process wrote it itself. It is not believed further: who
			// may connect to the database may send one.
			seq, err := strconv.ParseInt(n.Payload, 10, 64)
			if newest, _ := l.bell.listen(); err != nil || keys.Seq(seq) > newest {
				break
			}
		}
	}
}

// look rings with the newest change number.
func (l *listener) look(ctx context.Context, conn *pgx.Conn) error {
	limited, cancel := context.WithTimeout(ctx, silenceLimit)
	defer cancel()
	var seq keys.Seq
	if err := conn.QueryRow(limited, "SELECT seq FROM head WHERE id = 1").Scan(&seq); err != nil {
		return err
	}
	l.bell.ring(seq)
	return nil
}
