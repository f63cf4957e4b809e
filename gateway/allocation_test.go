//go:build !race

// The race detector makes sync.Pool forget at random, so allocations are counted without it.

package gateway

import (
	"net/http/httptest"
	"testing"
)

func TestDecisionAllocatesLittle(t *testing.T) {
	g, r, _ := decider(t, 3)
	w := httptest.NewRecorder()
	decideOnce(t, g, w, r)
	if n := testing.AllocsPerRun(100, func() { decideOnce(t, g, w, r) }); n > 2 {
		t.Errorf("a decision allocates %.0f times, want at most 2", n)
	}
}
