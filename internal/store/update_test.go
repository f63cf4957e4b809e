package store_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"postern/internal/keys"
)

func testUpdate(t *testing.T, open func(*testing.T) keys.Store) {
	errRule := errors.New("a rule says no")
	everything := func(ctx context.Context, tx keys.Tx) error {
		return errors.Join(
			tx.PutCredential(ctx, bare(1)),
			tx.PutTenant(ctx, keys.Tenant{ID: "acme", Version: 1}),
			tx.PutToken(ctx, keys.Token{ID: "tok_1", Version: 1}),
			tx.AppendAudit(ctx, keys.AuditEntry{Chain: "acme", Seq: 1}),
			tx.PutMeta(ctx, "m", []byte("v")),
		)
	}
	// untouched checks that nothing of everything is there and that a further update works.
	untouched := func(t *testing.T, s keys.Store) {
		t.Helper()
		ctx := context.Background()
		_, credential := s.Credential(ctx, bare(1).ID, true)
		_, tenant := s.Tenant(ctx, "acme")
		_, token := s.Token(ctx, "tok_1")
		_, meta := s.Meta(ctx, "m")
		for what, err := range map[string]error{"credential": credential, "tenant": tenant, "token": token, "meta": meta} {
			if !isErr(err, keys.ErrNotFound) {
				t.Errorf("%s: got error %v, want ErrNotFound", what, err)
			}
		}
		if head, err := s.AuditHead(ctx, "acme"); err != nil || head.Seq != 0 {
			t.Errorf("audit head: got %d, %v, want 0", head.Seq, err)
		}
		if head, err := s.Head(ctx); err != nil || head != 0 {
			t.Errorf("head: got %d, %v, want 0", head, err)
		}
		if seq, err := s.Update(ctx, everything); err != nil || seq != 2 {
			t.Errorf("a further update: got %d, %v, want 2", seq, err)
		}
	}

	t.Run("numbers", func(t *testing.T) {
		s := open(t)
		if seq := update(t, s, func(context.Context, keys.Tx) error { return nil }); seq != 0 {
			t.Errorf("empty update of an empty store: got %d, want 0", seq)
		}
		if seq := put(t, s, bare(1), bare(2), bare(3)); seq != 3 {
			t.Errorf("three records: got %d, want 3", seq)
		}
		if seq := update(t, s, func(context.Context, keys.Tx) error { return nil }); seq != 3 {
			t.Errorf("empty update: got %d, want 3", seq)
		}
		if head, err := s.Head(t.Context()); err != nil || head != 3 {
			t.Errorf("head: got %d, %v, want 3", head, err)
		}
	})
	t.Run("error", func(t *testing.T) {
		s := open(t)
		_, err := s.Update(t.Context(), func(ctx context.Context, tx keys.Tx) error {
			return errors.Join(everything(ctx, tx), errRule)
		})
		if !isErr(err, errRule) {
			t.Errorf("got error %v, want the function's", err)
		}
		untouched(t, s)
	})
	t.Run("error comes back unwrapped", func(t *testing.T) {
		if _, err := open(t).Update(t.Context(), func(context.Context, keys.Tx) error { return errRule }); err != errRule {
			t.Errorf("got error %v, want exactly the function's", err)
		}
	})
	t.Run("panic", func(t *testing.T) {
		s := open(t)
		func() {
			defer func() {
				if r := recover(); r != "boom" {
					t.Errorf("recovered %v, want boom", r)
				}
			}()
			s.Update(t.Context(), func(ctx context.Context, tx keys.Tx) error { // it panics
				if err := everything(ctx, tx); err != nil {
					t.Error(err)
				}
				panic("boom")
			})
		}()
		untouched(t, s)
	})
	t.Run("goroutine ends", func(t *testing.T) {
		s := open(t)
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.Update(t.Context(), func(ctx context.Context, tx keys.Tx) error { // it does not return
				if err := everything(ctx, tx); err != nil {
					t.Error(err)
				}
				runtime.Goexit()
				return nil
			})
		}()
		<-done
		untouched(t, s)
	})
	t.Run("context ends within", func(t *testing.T) {
		s := open(t)
		ctx, cancel := context.WithCancel(t.Context())
		_, err := s.Update(ctx, func(ctx context.Context, tx keys.Tx) error {
			if err := everything(ctx, tx); err != nil {
				return err
			}
			cancel()
			return nil
		})
		if !isErr(err, context.Canceled) || isErr(err, keys.ErrStoreUnavailable) {
			t.Errorf("got error %v, want context.Canceled and nothing else", err)
		}
		untouched(t, s)
	})
	t.Run("context ended before", func(t *testing.T) {
		s := open(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Update(ctx, everything); !isErr(err, context.Canceled) {
			t.Errorf("update: got error %v, want context.Canceled", err)
		}
		if _, err := s.Credential(ctx, "x", false); !isErr(err, context.Canceled) {
			t.Errorf("read: got error %v, want context.Canceled", err)
		}
		if _, err := s.AuditHead(ctx, "x"); !isErr(err, context.Canceled) {
			t.Errorf("audit head: got error %v, want context.Canceled", err)
		}
		untouched(t, s)
	})
	t.Run("readers see nothing before the commit", func(t *testing.T) {
		s := open(t)
		update(t, s, func(ctx context.Context, tx keys.Tx) error {
			if err := everything(ctx, tx); err != nil {
				return err
			}
			if _, err := s.Credential(ctx, bare(1).ID, true); !isErr(err, keys.ErrNotFound) {
				t.Errorf("got error %v, want ErrNotFound", err)
			}
			return nil
		})
		if _, err := s.Credential(t.Context(), bare(1).ID, true); err != nil {
			t.Errorf("after the commit: %v", err)
		}
	})
	t.Run("closed", func(t *testing.T) {
		s := open(t)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		_, updated := s.Update(t.Context(), everything)
		_, head := s.Head(t.Context())
		_, read := s.Credential(t.Context(), "x", false)
		_, loaded := s.Load(t.Context(), keys.LoadVisitor{})
		for what, err := range map[string]error{"update": updated, "head": head, "read": read, "load": loaded, "wait": s.Wait(t.Context(), 0)} {
			if !isErr(err, keys.ErrStoreUnavailable) {
				t.Errorf("%s: got error %v, want ErrStoreUnavailable", what, err)
			}
		}
	})
}
