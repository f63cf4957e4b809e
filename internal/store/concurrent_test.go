package store_test

import (
	"context"
	"sync"
	"testing"

	"postern/internal/keys"
)

// testConcurrent lets 16 writers create and change credentials, half of them shared, while a reader
// follows the feed and others load and list. The reader must end with exactly what is stored, having
// met no number twice, none out of order, and no version going back.
func testConcurrent(t *testing.T, open func(*testing.T) keys.Store) {
	s := open(t)
	const writers, shared = 16, 4
	rounds := 12
	if long() {
		rounds = 200
	}
	for n := range shared {
		put(t, s, bare(n))
	}

	var writing, following, loading sync.WaitGroup
	written := make(chan struct{})
	var mu sync.Mutex
	acknowledged := map[keys.Seq]bool{}
	for w := range writers {
		writing.Go(func() {
			for round := range rounds {
				seq, err := s.Update(t.Context(), func(ctx context.Context, tx keys.Tx) error {
					own := bare(1000 + w*1000 + round)
					if err := tx.PutCredential(ctx, own); err != nil {
						return err
					}
					c, err := tx.Credential(ctx, bare((w+round)%shared).ID, false)
					if err != nil {
						return err
					}
					head, err := tx.AuditHead(ctx, "chain")
					if err != nil {
						return err
					}
					if err := tx.AppendAudit(ctx, keys.AuditEntry{Chain: "chain", Seq: head.Seq + 1, Target: string(own.ID)}); err != nil {
						return err
					}
					return tx.PutCredential(ctx, next(c, nothing))
				})
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				mu.Lock()
				if acknowledged[seq] {
					t.Errorf("number %d was handed out twice", seq)
				}
				acknowledged[seq] = true
				mu.Unlock()
			}
		})
	}

	last := keys.Seq(shared + 2*writers*rounds)
	state := map[keys.CredentialID]int64{}
	following.Go(func() {
		for applied := keys.Seq(0); applied < last && !t.Failed(); {
			if err := s.Wait(t.Context(), applied); err != nil {
				t.Error(err)
			}
			changes, err := s.Changes(t.Context(), applied, 7)
			if err != nil {
				t.Error(err)
			}
			for _, c := range changes {
				if c.Seq <= applied {
					t.Errorf("number %d came after %d", c.Seq, applied)
				}
				if c.Credential.Version <= state[c.Credential.ID] {
					t.Errorf("credential %s: version %d came after %d", c.Credential.ID, c.Credential.Version, state[c.Credential.ID])
				}
				applied, state[c.Credential.ID] = c.Seq, c.Credential.Version
			}
		}
	})
	loading.Go(func() {
		for over := false; !over; {
			select {
			case <-written:
				over = true // once more, in peace
			default:
			}
			// A load is one state: the versions of the shared credentials and the number of the
			// others come from the same number of committed updates.
			var mu sync.Mutex
			var versions, others int64
			seq, err := s.Load(t.Context(), keys.LoadVisitor{
				Credential: func(c keys.Credential) error {
					mu.Lock()
					defer mu.Unlock()
					if c.ID < bare(shared).ID {
						versions += c.Version - 1
					} else {
						others++
					}
					return nil
				},
			})
			if err != nil {
				t.Errorf("load: %v", err)
				return
			}
			if versions != others || keys.Seq(versions+others+shared) != seq {
				t.Errorf("load at %d: %d changes of shared credentials and %d others", seq, versions, others)
			}
		}
	})

	writing.Wait()
	close(written)
	loading.Wait()
	following.Wait()
	if head, err := s.Head(t.Context()); err != nil || head != last {
		t.Errorf("head: got %d, %v, want %d", head, err, last)
	}
	want, err := s.Credentials(t.Context(), keys.CredentialFilter{Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range want.Items {
		if state[c.ID] != c.Version {
			t.Errorf("credential %s: the feed's last version is %d, the stored one %d", c.ID, state[c.ID], c.Version)
		}
	}
	if len(acknowledged) != writers*rounds {
		t.Errorf("acknowledged updates: got %d, want %d", len(acknowledged), writers*rounds)
	}
	entries, err := s.AuditEntries(t.Context(), "chain", 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		if e.Seq != int64(i)+1 {
			t.Fatalf("audit entry %d has number %d", i+1, e.Seq)
		}
	}
}
