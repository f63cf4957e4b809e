package keys

import (
	"context"
	"slices"
	"time"
)

// waitPause is how long Wait leaves the store alone between two looks: at first, and at most.
const (
	waitPause     = 5 * time.Millisecond
	longWaitPause = 50 * time.Millisecond
)

// Wait returns when everything that is in effect here is in effect on every node that counts, or when
// the time is over, and then with Confirmed false. It returns no error: that the store cannot be read
// means that nothing is known of the others.
func (f *Fleet) Wait(ctx context.Context, most time.Duration) Confirmation {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	c := confirming{}
	c.seq, _ = f.directory.progress.at()
	known := f.known()
	answer := c.look(known)
	answer.Confirmed = false // those may be looks from before
	for wait := waitPause; ; wait = min(2*wait, longWaitPause) {
		if seen, err := f.look(ctx); err == nil {
			if answer = c.look(f.withSelf(seen)); answer.Confirmed {
				return answer
			}
		}
		if pause(ctx, wait) != nil {
			return answer
		}
	}
}

// known is what the last look found.
func (f *Fleet) known() []SeenNode {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen.nodes)
}

// withSelf puts what this node itself knows of itself in place of what it last reported.
func (f *Fleet) withSelf(seen []SeenNode) []SeenNode {
	seen = slices.Clone(seen)
	for i := range seen {
		if n := &seen[i]; n.is(&f.self) {
			if applied, _ := f.directory.progress.at(); applied > n.Applied {
				n.Applied, n.AppliedAt = applied, n.SeenAt
			}
		}
	}
	return seen
}
