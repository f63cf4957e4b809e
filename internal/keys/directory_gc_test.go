package keys

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// TestPrincipalsOutliveTheirEntries holds principals, as a stream does, while their entries are replaced
// and dropped and their memory is asked for: the text of an ID stands in the entry itself.
func TestPrincipalsOutliveTheirEntries(t *testing.T) {
	h := newHouse(t)
	const count = 200
	var ids, owners []string
	var held []*Principal
	var texts []CredentialID
	for i := range count {
		g := h.generate(NewCredential{Name: fmt.Sprint(i)})
		if i%2 == 0 { // with a second secret, whose principal is a copy
			r, err := h.registry.Rotate(t.Context(), operator(), g.Credential.ID, Rotation{})
			if err != nil {
				t.Fatal(err)
			}
			g.Secret = r.Secret
		}
		p, code := h.dir.Authenticate(Presented{Text: g.Secret.Reveal()}, h.clock.Now())
		if code != Admitted {
			t.Fatal(code)
		}
		twin := *p // as Authenticate makes one for a declared test key
		held = append(held, p, &twin)
		texts = append(texts, p.ID) // the text alone, as a log holds it
		ids, owners = append(ids, strings.Clone(string(p.ID))), append(owners, strings.Clone(p.Owner))
	}
	for round := range 3 {
		for _, id := range ids {
			h.change(CredentialID(strings.Clone(id)), func(c *Credential) { c.Test = !c.Test })
		}
		runtime.GC()
		for i := range count * 10 { // take what was freed
			e := &entry{}
			e.Principal.ID = CredentialID(fmt.Sprintf("key_%012d", i))
			e.keepID()
			runtime.KeepAlive(e)
		}
		runtime.GC()
		for i, p := range held {
			if want := ids[i/2]; string(p.ID) != want || string(texts[i/2]) != want || p.Owner != owners[i/2] {
				t.Fatalf("round %d: principal %d became %q of %q, text %q, want %q of %q", round, i, p.ID, p.Owner, texts[i/2], want, owners[i/2])
			}
			p.Used(h.clock.Now())
		}
		for _, u := range h.dir.TakeUses(nil) {
			if h.dir.ids.find(u.Credential) == nil {
				t.Fatalf("round %d: a use of %q, which nobody has", round, u.Credential)
			}
		}
	}
}
