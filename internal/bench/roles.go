package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// serveRole runs this program as one of the yardsticks' processes: "upstream", or "bare=URL", a
// reverse proxy in front of the URL that decides nothing. It prints its address and serves until it
// is ended.
func serveRole(role string) bool {
	var handler http.Handler
	if target, ok := strings.CutPrefix(role, "bare="); ok {
		u, err := url.Parse(target)
		if err != nil {
			fail(err)
		}
		handler = bareProxy(u)
	} else if role == "upstream" {
		handler = http.HandlerFunc(answer)
	} else {
		return false
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	fmt.Println("http://" + l.Addr().String())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	fail(server.Serve(l))
	return true
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

var answerBody = []byte(`{"orders":[{"id":1,"item":"coffee"},{"id":2,"item":"tea"}]}`)

// answer is an upstream of little work, so that the proxies' own cost shows.
func answer(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(answerBody)))
	_, _ = w.Write(answerBody)
}

// mallocsPath is where the bare proxy tells how many allocations it has made.
const mallocsPath = "/debug/mallocs"

// bareProxy is httputil.ReverseProxy with a tuned transport and a buffer pool and nothing else: what
// every gateway on this library pays at least. (The default transport keeps two idle connections a
// host and costs a multiple; it would flatter us.)
func bareProxy(target *url.URL) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
		},
		Transport: &http.Transport{
			MaxIdleConns:        0,
			MaxIdleConnsPerHost: 1024,
			IdleConnTimeout:     90 * time.Second,
			DisableCompression:  true,
		},
		BufferPool: &buffers{},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == mallocsPath {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			fmt.Fprint(w, m.Mallocs)
			return
		}
		proxy.ServeHTTP(w, r)
	})
}

// buffers keeps copy buffers for the next answer.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[32 << 10]byte); ok {
		return p[:]
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(p []byte) { b.pool.Put((*[32 << 10]byte)(p)) }
