//go:build realservers

package store_test

import (
	"errors"
	"testing"

	"postern/internal/store"
)

// TestPostgresCopyBesideAGateway: a gateway is found by its heartbeat, whatever its connections are called.
func TestPostgresCopyBesideAGateway(t *testing.T) {
	from := openAddress(t, address(t)+"&application_name=shop")
	into := openFile(t, t.TempDir()+"/copy.db")
	n := node("a", "1", "")
	if err := from.RegisterNode(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if _, err := from.CopyTo(t.Context(), into); !errors.Is(err, store.ErrInUse) {
		t.Errorf("beside a gateway that beats: got %v, want ErrInUse", err)
	}
	if err := from.DeregisterNode(t.Context(), n.ID, n.Boot); err != nil {
		t.Fatal(err)
	}
	if _, err := from.CopyTo(t.Context(), into); err != nil {
		t.Errorf("after it has left: %v", err)
	}
}
