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
	"time"
)

// load sends so many requests to a URL over so many connections and waits for every answer: so many a
// second, evenly spaced, or as fast as they are answered if pace is 0. An answer other than 200 is an
// error: refusals are cheap and would make a gateway look fast. So are limits that are not counted where
// they should be; it returns how many answers said so.
func load(ctx context.Context, target, key string, requests, connections, pace int) (astray int, err error) {
	u, err := url.Parse(target)
	if err != nil {
		return 0, err
	}
	text := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\nX-API-Key: %s\r\n\r\n", u.Path, u.Host, key)
	t := &tickets{most: int64(requests), began: time.Now()}
	if pace > 0 {
		t.gap = time.Second / time.Duration(pace)
	}
	errs := make(chan error, connections)
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() { errs <- sendFrom(ctx, u.Host, text, t) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return int(t.astray.Load()), nil
}

// tickets are the requests that are left to send, and when.
type tickets struct {
	taken  atomic.Int64
	astray atomic.Int64 // answers whose limits were counted without Redis
	most   int64
	began  time.Time
	gap    time.Duration
}

// next waits until the next request is due; false when there is none.
func (t *tickets) next() bool {
	n := t.taken.Add(1)
	if n > t.most {
		return false
	}
	if t.gap > 0 {
		time.Sleep(time.Until(t.began.Add(time.Duration(n) * t.gap)))
	}
	return true
}

// sendFrom is one connection. It writes fixed bytes and reads answers with net/http's parser: a
// whole client would take more of the machine than what is measured.
func sendFrom(ctx context.Context, host string, text []byte, t *tickets) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	r := bufio.NewReader(conn)
	for t.next() {
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
		if resp.Header.Get("X-Postern-Limited-By") != "" {
			t.astray.Add(1)
		}
	}
	return nil
}
