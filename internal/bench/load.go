package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
)

// load sends so many requests to a URL over so many connections and waits for every answer. An
// answer other than 200 is an error: refusals are cheap and would make a gateway look fast.
func load(ctx context.Context, target, key string, requests, connections int) error {
	u, err := url.Parse(target)
	if err != nil {
		return err
	}
	text := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\nX-API-Key: %s\r\n\r\n", u.Path, u.Host, key)
	var left atomic.Int64
	left.Store(int64(requests))
	errs := make(chan error, connections)
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() { errs <- sendFrom(ctx, u.Host, text, &left) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// sendFrom is one connection. It writes fixed bytes and reads answers with net/http's parser: a
// whole client would take more of the machine than what is measured.
func sendFrom(ctx context.Context, host string, text []byte, left *atomic.Int64) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	r := bufio.NewReader(conn)
	for left.Add(-1) >= 0 {
		if _, err := conn.Write(text); err != nil {
			return err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answered %s", host, resp.Status)
		}
	}
	return nil
}
