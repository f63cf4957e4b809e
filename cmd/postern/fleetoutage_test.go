//go:build realservers

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// writes are changes that somebody made at one gateway after the other.
type writes struct {
	made    []generated
	refused []string // names of keys that were not made
	other   []string // answers that leave it open, or that nobody should get
	longest time.Duration
}

// write makes keys until ctx ends, and counts those that were made.
func (f *fleetSite) write(ctx context.Context, name string, count *atomic.Int64) (w writes) {
	for i := 0; ctx.Err() == nil; i++ {
		var key generated
		named := fmt.Sprintf("%s %d", name, i)
		begun := time.Now()
		status, text, err := f.ask(f.nodes[i%len(f.nodes)], http.MethodPost, "/v1/keys", fmt.Sprintf(`{"name":%q,"apis":["main"]}`, named), &key)
		w.longest = max(w.longest, time.Since(begun))
		switch {
		case err == nil && status == http.StatusCreated:
			w.made = append(w.made, key)
			count.Add(1)
		case err == nil && status == http.StatusServiceUnavailable && strings.Contains(text, "store_unavailable") && strings.Contains(text, "nothing was changed"):
			w.refused = append(w.refused, named)
		case err == nil && status == http.StatusServiceUnavailable && strings.Contains(text, "store_unavailable"):
			w.other = append(w.other, text)
		default:
			f.t.Errorf("%s: %d %s, %v", named, status, text, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return w
}

// TestFleetWithoutPostgres stops, kills and hides the database while keys are used and made on three
// gateways: every call is answered, changes are refused, and afterwards there is what was acknowledged.
func TestFleetWithoutPostgres(t *testing.T) {
	t.Parallel()                      // it waits most of the time
	f := newFleetSite(t, "unlimited") // that Redis may be slow, and shares go with the database, is for other tests
	key := f.makeKeys(1)[0]
	restart := func(f *fleetSite) {
		if err := f.postgres.Restart(); err != nil {
			f.t.Fatal(err)
		}
	}
	for _, fault := range []struct {
		name  string
		begin func(f *fleetSite) error
		end   func(f *fleetSite)
	}{
		{"stopped", func(f *fleetSite) error { return f.postgres.Halt() }, restart},
		{"killed", func(f *fleetSite) error { return f.postgres.Kill() }, restart},
		{"black hole", func(f *fleetSite) error {
			for _, link := range []string{"postgres1", "postgres2", "postgres3"} {
				f.toxics.blackHole(link)
			}
			return nil
		}, func(f *fleetSite) { f.toxics.heal() }},
	} {
		t.Run(fault.name, func(t *testing.T) {
			f := f.in(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var work sync.WaitGroup
			var saw seen
			var wrote [3]writes
			var changes atomic.Int64
			work.Go(func() { saw = f.siegeOf(ctx, key.Secret, 6, 5*time.Millisecond, f.nodes...) })
			for i := range wrote {
				work.Go(func() { wrote[i] = f.write(ctx, fmt.Sprintf("%s %d", fault.name, i), &changes) })
			}
			f.await("changes are under way", 30*time.Second, func() bool { return changes.Load() >= 10 })
			if err := fault.begin(f); err != nil {
				t.Fatal(err)
			}
			for _, n := range f.nodes {
				f.await(n.name+" says that it cannot reach the database", 30*time.Second, func() bool {
					status, text := f.ready(n)
					if status != http.StatusOK {
						t.Fatalf("%s is not ready: %d %s", n.name, status, text)
					}
					return strings.Contains(text, "heartbeat of this node could not be stored")
				})
			}
			f.await("it says how old its knowledge is", 30*time.Second, func() bool {
				_, text := f.ready(f.nodes[0])
				return strings.Contains(text, "the database was last read")
			})
			fault.end(f)
			after := f.makeKeysWhenever(2*len(f.nodes), 30*time.Second)
			cancel()
			work.Wait()

			for status, count := range saw.statuses {
				if status != http.StatusOK {
					t.Errorf("%d calls were answered %d", count, status)
				}
			}
			made, refused, open := after, 0, 0
			for _, w := range wrote {
				made, refused, open = append(made, w.made...), refused+len(w.refused), open+len(w.other)
				if w.longest > 30*time.Second {
					t.Errorf("a change was answered after %v", w.longest)
				}
				for _, name := range w.refused {
					if found := f.named(name); found != 0 {
						t.Errorf("%q was refused, and there are %d", name, found)
					}
				}
			}
			t.Logf("%d calls, all admitted; %d keys made, %d refused, %d left open, the longest after %v", saw.statuses[http.StatusOK],
				len(made), refused, open, max(wrote[0].longest, wrote[1].longest, wrote[2].longest))
			if refused == 0 {
				t.Error("no change was refused")
			}
			for _, n := range f.nodes {
				for _, k := range made {
					f.await("acknowledged key "+k.ID+" on "+n.name, 10*time.Second, func() bool { return f.get(n, "spent", k.Secret) == http.StatusOK })
				}
				f.await(n.name+" is well", 30*time.Second, func() bool {
					_, text := f.ready(n)
					return !strings.Contains(text, "heartbeat") && !strings.Contains(text, "last read")
				})
			}
		})
	}
}

// makeKeysWhenever makes so many keys by turns on all gateways, each as soon as it can be made.
func (f *fleetSite) makeKeysWhenever(count int, most time.Duration) []generated {
	f.t.Helper()
	made := make([]generated, count)
	for i := range made {
		f.await("changes are taken again", most, func() bool {
			status, _, err := f.ask(f.nodes[i%len(f.nodes)], http.MethodPost, "/v1/keys", `{"name":"afterwards","apis":["main"]}`, &made[i])
			return err == nil && status == http.StatusCreated
		})
	}
	return made
}

// named counts the keys of that name.
func (f *fleetSite) named(name string) int {
	f.t.Helper()
	var list struct {
		Items []struct {
			Name string `json:"name"`
		} `json:"items"`
	}
	f.mustAsk(f.nodes[0], http.StatusOK, http.MethodGet, "/v1/keys?search="+url.QueryEscape(name), "", &list)
	count := 0
	for _, k := range list.Items {
		if k.Name == name {
			count++
		}
	}
	return count
}
