package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"postern/config"
	"postern/internal/socket"
	"postern/limiter"
)

// openRedisForBench returns what opens a gateway's limiter on the Redis that ref names, or on a server
// of its own; done stops that one.
func openRedisForBench(ctx context.Context, g *globals, ref string) (open func(node string) (limiter.Limiter, error), done func(), err error) {
	url, done := "", func() {}
	if ref == "" {
		if url, done, err = startRedis(ctx); err != nil {
			return nil, nil, err
		}
	} else {
		name, ok := strings.CutPrefix(ref, "env:")
		if !ok {
			return nil, nil, usageError("--redis: write env:NAME of a variable that holds redis://…: what stands on a command line, everybody on the machine can read")
		}
		text, err := config.Ref{Env: name}.Read(g.env)
		if err != nil {
			return nil, nil, usageError("--redis: %v", err)
		}
		url = strings.TrimSpace(string(text))
		if err := (limiter.RedisOptions{URL: url, Node: "bench"}).Validate(); err != nil {
			return nil, nil, usageError("--redis: environment variable %s: %v", name, err)
		}
	}
	return func(node string) (limiter.Limiter, error) {
		r, err := limiter.NewRedis(limiter.RedisOptions{URL: url, Node: node, Budget: benchBudget, Wrap: socket.Direct})
		if err != nil {
			return nil, err
		}
		if err := r.Ping(ctx); err != nil {
			return nil, errors.Join(&failure{code: exitUnreachable, err: fmt.Errorf("the Redis to measure with: %w", err)}, r.Close())
		}
		return r, nil
	}, done, nil
}

// benchBudget is patience with a store that all callers of the measurement keep busy, on the machine
// that they run on too.
const benchBudget = 10 * time.Second

// startRedis starts a redis-server that keeps nothing, on a free port of this machine.
func startRedis(ctx context.Context) (url string, stop func(), err error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return "", nil, &failure{code: exitFailed, err: errors.New("there is no redis-server here to measure with"),
			next: "Install it (Debian: redis-server), or name a Redis with --redis env:NAME."}
	}
	dir, err := os.MkdirTemp("", "postern-bench-")
	if err != nil {
		return "", nil, err
	}
	port, err := freePort()
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	cmd := exec.Command(program, "--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--appendonly", "no")
	if err := cmd.Start(); err != nil {
		return "", nil, errors.Join(fmt.Errorf("start redis-server: %w", err), os.RemoveAll(dir))
	}
	stop = func() {
		_ = cmd.Process.Kill() // it keeps nothing
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	}
	const patience = 10 * time.Second
	for begun := time.Now(); ; {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", port), time.Second)
		if err == nil {
			return "redis://" + conn.RemoteAddr().String(), stop, conn.Close()
		}
		if time.Since(begun) > patience || ctx.Err() != nil {
			stop()
			return "", nil, fmt.Errorf("redis-server did not start on port %s within %v", port, patience)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// freePort is a port of this machine that nobody listens on at the moment.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}
