//go:build realservers

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// sized is a size that grows with POSTERN_LONG=1.
func sized(short, long int) int {
	if os.Getenv("POSTERN_LONG") == "1" {
		return long
	}
	return short
}

// in is the site for a test within the test that made it.
func (f *fleetSite) in(t *testing.T) *fleetSite {
	within := *f
	within.t = t
	return &within
}

// ask calls a gateway's admin API as the operator, and reads the answer into out unless that is nil. It
// may be called at once.
func (f *fleetSite) ask(n *fleetNode, method, path, body string, out any) (status int, text string, err error) {
	req, err := http.NewRequest(method, "http://"+n.admin+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "Bearer "+f.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := f.admin.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && out != nil && resp.StatusCode < 300 {
		err = json.Unmarshal(answer, out)
	}
	return resp.StatusCode, string(answer), err
}

// mustAsk is ask for a call that has to be answered so.
func (f *fleetSite) mustAsk(n *fleetNode, want int, method, path, body string, out any) {
	f.t.Helper()
	if status, text, err := f.ask(n, method, path, body, out); err != nil || status != want {
		f.t.Fatalf("%s %s on %s: got %d %s, %v, want %d", method, path, n.name, status, text, err, want)
	}
}

// revoke ends a key at a gateway, and waits for the fleet for so long.
func (f *fleetSite) revoke(n *fleetNode, id string, most time.Duration) (confirmation, int, error) {
	return f.deny(n, "revoke", id, most)
}

func (f *fleetSite) deny(n *fleetNode, act, id string, most time.Duration) (c confirmation, status int, err error) {
	path := fmt.Sprintf("/v1/keys/%s/%s?wait=fleet&timeout=%dms", id, act, most.Milliseconds())
	status, text, err := f.ask(n, http.MethodPost, path, "", &c)
	if err == nil && status >= 300 {
		err = fmt.Errorf("%d %s", status, text)
	}
	if err == nil && c.Confirmed != (status == http.StatusOK) {
		err = fmt.Errorf("answered %d and confirmed %t", status, c.Confirmed)
	}
	return c, status, err
}

// makeKeys makes so many keys, which work everywhere when it returns.
func (f *fleetSite) makeKeys(count int) []generated {
	f.t.Helper()
	made := make([]generated, count)
	errs := make([]error, count)
	const makers = 4
	var wg sync.WaitGroup
	for m := range makers {
		wg.Go(func() {
			for i := m; i < count; i += makers {
				status, text, err := f.ask(f.nodes[i%len(f.nodes)], http.MethodPost, "/v1/keys", fmt.Sprintf(`{"name":"key %d","apis":["main"]}`, i), &made[i])
				if err == nil && status != http.StatusCreated {
					err = fmt.Errorf("%d %s", status, text)
				}
				errs[i] = err
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			f.t.Fatal(err)
		}
	}
	for _, n := range f.nodes {
		for i := range made {
			f.await(fmt.Sprintf("key %d on %s", i, n.name), 10*time.Second, func() bool { return f.get(n, "spent", made[i].Secret) == http.StatusOK })
		}
	}
	return made
}

// wantDead fails unless every gateway refuses every one of the keys as revoked.
func (f *fleetSite) wantDead(when string, dead []generated) {
	f.t.Helper()
	for _, n := range f.nodes {
		for i := range dead {
			if got := f.get(n, "spent", dead[i].Secret); got != http.StatusUnauthorized {
				f.t.Errorf("%s: key %s on %s: got %d, want 401", when, dead[i].ID, n.name, got)
			}
		}
	}
}

// ready is what a gateway's /readyz says.
func (f *fleetSite) ready(n *fleetNode) (status int, text string) {
	resp, err := f.admin.Get("http://" + n.admin + "/readyz")
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body) // what is missing is not found in it
	return resp.StatusCode, string(answer)
}

// percentiles writes what is meant by p50, p99.9 and max of what was measured.
func percentiles(t *testing.T, what string, sorted []time.Duration) (p50, p999, longest time.Duration) {
	t.Helper()
	at := func(share float64) time.Duration { return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))] }
	p50, p999, longest = at(0.5), at(0.999), sorted[len(sorted)-1]
	t.Logf("%s: %d measured, p50 %v, p99.9 %v, max %v", what, len(sorted), p50, p999, longest)
	return p50, p999, longest
}
