package keys

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

func once(key string, request byte) Idempotency {
	return Idempotency{Key: key, Request: [32]byte{request}}
}

func TestGenerateOnce(t *testing.T) {
	h := newHouse(t, func(c *Catalog) { c.Policy.MaxKeysPerTenant = 1 })
	in := NewCredential{Name: "n", Idempotency: once("k", 1), Expiry: &Lifetime{For: time.Hour}}
	first, err := h.registry.Generate(t.Context(), operator(), in)
	if err != nil || first.Replayed {
		t.Fatal(first.Replayed, err)
	}
	h.clock.advance(2 * time.Hour) // what was asked for could not be had any more
	again, err := h.registry.Generate(t.Context(), operator(), in)
	if err != nil || !again.Replayed || again.Credential.ID != first.Credential.ID || again.Secret.Reveal() != "" {
		t.Errorf("sent again: %+v, %v", again, err)
	}
	other := in
	other.Idempotency.Request = [32]byte{2}
	_, err = h.registry.Generate(t.Context(), operator(), other)
	refused(t, err, IdempotencyMismatch)
	if len(h.store.credentials) != 1 {
		t.Errorf("%d keys were made", len(h.store.credentials))
	}
	_, err = h.registry.CreateToken(t.Context(), operator(), NewToken{Name: "t", Roles: []RoleName{RoleViewer}, Idempotency: once("k", 3)})
	refused(t, err, IdempotencyMismatch)
}

func TestIdempotencyIsEachActorsOwnAndEnds(t *testing.T) {
	h := newHouse(t)
	generate := func(a Actor) Generated {
		t.Helper()
		g, err := h.registry.Generate(t.Context(), a, NewCredential{Name: "n", Idempotency: once("k", 1)})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	mine := generate(operator())
	if other := generate(member("default", RoleDeveloper)); other.Replayed || other.Credential.ID == mine.Credential.ID {
		t.Error("another actor got my key")
	}
	h.clock.advance(24*time.Hour - time.Microsecond)
	if again := generate(operator()); !again.Replayed {
		t.Error("forgotten within 24 hours")
	}
	h.clock.advance(time.Microsecond)
	if late := generate(operator()); late.Replayed || late.Credential.ID == mine.Credential.ID {
		t.Error("remembered for longer than 24 hours")
	}
}

func TestIdempotencyStoresNothingReadable(t *testing.T) {
	h := newHouse(t)
	if _, err := h.registry.Generate(t.Context(), operator(), NewCredential{Name: "n", Idempotency: once("canary", 1)}); err != nil {
		t.Fatal(err)
	}
	for key, p := range h.store.replays {
		if strings.Contains(string(key[:])+string(p.Request[:])+p.Target, "canary") || p.Request == (Digest{1}) {
			t.Errorf("stored %+v", p)
		}
	}
}

func TestIdempotencyAcrossPeppers(t *testing.T) {
	h := newHouse(t)
	in := NewCredential{Name: "n", Idempotency: once("k", 1)}
	first, err := h.registry.Generate(t.Context(), operator(), in)
	if err != nil {
		t.Fatal(err)
	}
	next, err := newPepper(2, []byte(strings.Repeat("p", pepperLen)))
	if err != nil {
		t.Fatal(err)
	}
	h.vault.peppers = append([]*pepper{next}, h.vault.peppers...)
	if again, err := h.registry.Generate(t.Context(), operator(), in); err != nil || again.Credential.ID != first.Credential.ID {
		t.Errorf("after a new pepper: %s, %v", again.Credential.ID, err)
	}
}

func TestIdempotencyOfWhatIsGone(t *testing.T) {
	h := newHouse(t)
	in := NewCredential{Name: "n", Idempotency: once("k", 1)}
	g, err := h.registry.Generate(t.Context(), operator(), in)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.registry.Delete(t.Context(), operator(), g.Credential.ID); err != nil {
		t.Fatal(err)
	}
	_, err = h.registry.Generate(t.Context(), operator(), in)
	refused(t, err, NotFoundHere)
}

func TestIdempotencyKeysAreChecked(t *testing.T) {
	h := newHouse(t)
	for _, key := range []string{" ", "a b", "ü", "\x00", "a\nb", strings.Repeat("k", 256)} {
		_, err := h.registry.Generate(t.Context(), operator(), NewCredential{Name: "n", Idempotency: once(key, 1)})
		if r := refused(t, err, ValidationFailed); r.Fields[0].Field != "Idempotency-Key" {
			t.Errorf("%q: %v", key, r.Fields)
		}
	}
}

func TestARefusedRequestMayBeMended(t *testing.T) {
	h := newHouse(t)
	_, err := h.registry.Generate(t.Context(), operator(), NewCredential{Idempotency: once("k", 1)})
	refused(t, err, ValidationFailed)
	if g, err := h.registry.Generate(t.Context(), operator(), NewCredential{Name: "n", Idempotency: once("k", 2)}); err != nil || g.Replayed {
		t.Errorf("got %t, %v", g.Replayed, err)
	}
}

func TestCreateTokenAndRotateOnce(t *testing.T) {
	h := newHouse(t)
	in := NewToken{Name: "t", Roles: []RoleName{RoleViewer}, Idempotency: once("token", 1)}
	first, err := h.registry.CreateToken(t.Context(), operator(), in)
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.registry.CreateToken(t.Context(), operator(), in)
	if err != nil || !again.Replayed || again.Token.ID != first.Token.ID || again.Secret.Reveal() != "" {
		t.Errorf("sent again: %+v, %v", again, err)
	}
	id := h.generate(NewCredential{}).Credential.ID
	rotation := Rotation{Idempotency: once("rotate", 1)}
	rotated, err := h.registry.Rotate(t.Context(), operator(), id, rotation, 1)
	if err != nil {
		t.Fatal(err)
	}
	repeat, err := h.registry.Rotate(t.Context(), operator(), id, rotation, 1) // the version has moved on by then
	if err != nil || !repeat.Replayed || repeat.Secret.Reveal() != "" || repeat.Credential.Version != rotated.Credential.Version {
		t.Errorf("sent again: %+v, %v", repeat, err)
	}
	if got := h.code(rotated.Secret.Reveal(), ""); got != Admitted {
		t.Errorf("the new text gets %q", got)
	}
}

func TestConcurrentRequestsOfOneNameMakeOneKey(t *testing.T) {
	h := newHouse(t)
	const callers = 16
	made := make([]Generated, callers)
	errs := make([]error, callers)
	var wait sync.WaitGroup
	for i := range callers {
		wait.Go(func() {
			made[i], errs[i] = h.registry.Generate(t.Context(), operator(), NewCredential{Name: "n", Idempotency: once("k", 1)})
		})
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	secrets := 0
	for _, g := range made {
		if g.Credential.ID != made[0].Credential.ID {
			t.Error("two keys were made")
		}
		if g.Secret.Reveal() != "" {
			secrets++
		}
	}
	if secrets != 1 || len(h.store.credentials) != 1 {
		t.Errorf("%d secrets of %d keys were shown, want one", secrets, len(h.store.credentials))
	}
}
