package gateway

import (
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// benchmarkUpstream answers like a small JSON API, without work or allocations of its own.
func benchmarkUpstream(b *testing.B) *url.URL {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	reply := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 41\r\n" +
		"Date: Sat, 21 Nov 2026 10:00:00 GMT\r\n\r\n" + `{"id":1,"name":"an order","lines":[1,2,3]}`[:41])
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 8192)
				for {
					if _, err := conn.Read(buf); err != nil {
						return
					}
					if _, err := conn.Write(reply); err != nil {
						return
					}
				}
			}()
		}
	}()
	return &url.URL{Scheme: "http", Host: l.Addr().String()}
}

// drive keeps a connection per goroutine busy. The client is a loop over raw bytes, so that what is
// measured is the proxy.
func drive(b *testing.B, address string) {
	request := []byte("GET /orders/1?x=1 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: bench\r\n" +
		"Accept: */*\r\nX-Api-Key: " + goodKey + "\r\n\r\n")
	b.ReportAllocs()
	before := cpuTime(b)
	defer func() { b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op") }()
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		buf := make([]byte, 4096)
		for pb.Next() {
			if _, err := conn.Write(request); err != nil {
				b.Error(err)
				return
			}
			n, err := conn.Read(buf)
			if err != nil || string(buf[9:12]) != "200" {
				b.Errorf("got %q, %v", buf[:n], err)
				return
			}
		}
	})
}

// cpuTime is what the process used so far: on a shared machine it says more than the time passed.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkBareProxy is what the gateway is measured against: the standard reverse proxy with the
// same transport settings, and nothing else.
func BenchmarkBareProxy(b *testing.B) {
	target := benchmarkUpstream(b)
	transport := newTransport(transportKind{timeout: 5 * time.Second})
	transport.Proxy = nil
	b.Cleanup(transport.CloseIdleConnections)
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(target)
			pr.SetXForwarded()
		},
		Transport:  transport,
		BufferPool: &buffers{},
	})
	b.Cleanup(proxy.Close)
	drive(b, proxy.Listener.Addr().String())
}

// BenchmarkProxy is the whole gateway, with metrics and an access log.
func BenchmarkProxy(b *testing.B) {
	target := benchmarkUpstream(b)
	h := start(b, nil, onRoute(func(r *Route) { r.Targets = []*url.URL{target} }), func(o *Options) {
		o.Metrics = prometheus.NewRegistry()
		o.Access = SlogAccess(slog.NewJSONHandler(io.Discard, nil))
		d := o.Directory.(*fakeDirectory)
		d.by[goodKey] = d.by[benchKey]
	})
	drive(b, h.address)
}
