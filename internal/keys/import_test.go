package keys

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// oldText is a key as another gateway makes them.
func oldText(n int) string { return fmt.Sprintf("ud8xkkQ3GUGmWa2qVqiw5v%010d", n) }

func hashOf(text string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))) }

// importAll imports keys that must all be accepted.
func (h *house) importAll(list ...ImportKey) []ImportResult {
	h.t.Helper()
	results, err := h.registry.Import(h.t.Context(), operator(), list, false)
	if err != nil {
		h.t.Fatalf("Import: %v", err)
	}
	return results
}

// foreign makes the house's directory accept keys that are not in our form.
func foreign(t *testing.T) *house {
	h := newHouse(t)
	h.dir.SetAcceptImported(true)
	return h
}

func TestImportKeepsWhatItIsGiven(t *testing.T) {
	h := foreign(t)
	h.tenant("acme", nil)
	made, ends := h.clock.Now().Add(-400*24*time.Hour), h.clock.Now().Add(1000*24*time.Hour)
	results := h.importAll(
		ImportKey{
			Name: " ci ", Description: "Build", Text: NewSecret(oldText(1)), Tenant: "acme", Owner: &OwnerInput{Type: OwnerTenant}, Plan: "partner",
			APIs: []APIName{"orders", "orders"}, Scopes: []Scope{"bills.read"}, CreatedAt: made, ExpiresAt: ends,
			Metadata: map[string]string{"team": "blue"}, ExternalID: "crm-1",
		},
		ImportKey{Name: "by hash", Hash: hashOf(oldText(2)), Status: Suspended},
		ImportKey{Name: "over", Text: NewSecret(oldText(3)), ExpiresAt: h.clock.Now().Add(-time.Hour)},
	)
	for i, r := range results {
		if r.Status != ImportCreated || r.ID == "" || r.Errors != nil {
			t.Errorf("key %d: got %+v", i, r)
		}
	}
	c, err := h.registry.Credential(t.Context(), operator(), results[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Secrets) != 1 || c.Secrets[0].Preview != "ud8x" || c.Secrets[0].Sealed != nil || !c.Secrets[0].CreatedAt.Equal(made) {
		t.Errorf("secret: got %+v", c.Secrets)
	}
	id := c.ID
	c.ID, c.Secrets, c.MAC = "", nil, RowMAC{}
	want := Credential{
		Kind: APIKey, Tenant: "acme", Owner: Owner{Type: OwnerTenant, ID: "acme", Name: "acme"}, Name: "ci", Description: "Build", Status: Active,
		Plan: "partner", APIs: []APIName{"orders"}, Scopes: []Scope{"bills.read"}, ExpiresAt: ends, Metadata: map[string]string{"team": "blue"},
		ExternalID: "crm-1", CreatedBy: "token:tok_operator", CreatedAt: made, UpdatedAt: h.clock.Now(), Version: 1,
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	for text, want := range map[string]Code{oldText(1): Admitted, oldText(2): CredentialSuspended, oldText(3): CredentialExpired, oldText(4): InvalidCredentials} {
		if got := h.code(text, ""); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	who, _ := h.dir.Authenticate(Presented{Text: oldText(1)}, h.clock.Now())
	if who == nil || who.ID != id {
		t.Errorf("got principal %+v", who)
	}
	entries, err := h.store.AuditEntries(t.Context(), "acme", 0, 10)
	if err != nil || len(entries) != 1 || entries[0].Action != "key.imported" || entries[0].Target != string(id) || entries[0].Detail["name"] != "ci" {
		t.Errorf("audit: got %+v, %v", entries, err)
	}
	if strings.Contains(fmt.Sprint(entries), oldText(1)) {
		t.Error("the audit trail holds the key")
	}
}

// TestImportAgain finds keys that are there: under either way to give them, revoked ones too.
func TestImportAgain(t *testing.T) {
	h := foreign(t)
	first := h.importAll(ImportKey{Name: "a", Text: NewSecret(oldText(1))}, ImportKey{Name: "b", Hash: hashOf(oldText(2))})
	if _, err := h.registry.Revoke(t.Context(), operator(), first[1].ID, ""); err != nil {
		t.Fatal(err)
	}
	again := h.importAll(ImportKey{Name: "other", Hash: "sha256:" + strings.ToUpper(hashOf(oldText(1))[7:])}, ImportKey{Name: "b", Text: NewSecret(oldText(2))},
		ImportKey{Name: "c", Text: NewSecret(oldText(3))})
	want := []ImportResult{{ID: first[0].ID, Status: ImportExists}, {ID: first[1].ID, Status: ImportExists}, {ID: again[2].ID, Status: ImportCreated}}
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("again (-want +got):\n%s", diff)
	}
	if got := h.code(oldText(2), ""); got != CredentialRevoked {
		t.Errorf("the revoked key: got %s", got)
	}
	c, err := h.registry.Credential(t.Context(), operator(), first[0].ID)
	if err != nil || c.Name != "a" {
		t.Errorf("the first key is now %q, %v", c.Name, err)
	}
	// One that Postern made itself is there, too.
	g := h.generate(NewCredential{})
	if r := h.importAll(ImportKey{Name: "d", Text: g.Secret}); r[0].Status != ImportExists || r[0].ID != g.Credential.ID {
		t.Errorf("our own: got %+v", r)
	}
}

func TestImportOfADeletedKey(t *testing.T) {
	h := foreign(t)
	first := h.importAll(ImportKey{Name: "a", Text: NewSecret(oldText(1))})
	h.change(first[0].ID, func(c *Credential) { c.DeletedAt = h.clock.Now() })
	_, err := h.registry.Import(t.Context(), operator(), []ImportKey{{Name: "a", Text: NewSecret(oldText(1))}}, false)
	r := refused(t, err, ValidationFailed)
	if len(r.Fields) != 1 || r.Fields[0].Field != "keys[0].text" || !strings.Contains(r.Fields[0].Message, "deleted") {
		t.Errorf("got %+v", r.Fields)
	}
}

// flip is another digit.
func flip(digit string) string {
	if digit == "0" {
		return "1"
	}
	return "0"
}

func TestImportRefusesSingleFields(t *testing.T) {
	h := foreign(t)
	h.tenant("off", func(n *Tenant) { off := false; n.Settings.KeysEnabled = &off })
	h.tenant("poor", func(n *Tenant) { n.Plan = "trial" })
	ours := h.generate(NewCredential{}).Secret.Reveal()
	_, client, err := h.format.NewClientSecret(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, token, err := h.format.NewToken(nil)
	if err != nil {
		t.Fatal(err)
	}
	now := h.clock.Now()
	for _, c := range []struct {
		name, field, message string
		change               func(*ImportKey)
	}{
		{"no name", "name", "is required", func(k *ImportKey) { k.Name = " " }},
		{"long name", "name", "at most 100", func(k *ImportKey) { k.Name = strings.Repeat("n", 101) }},
		{"name that hides", "name", "cannot be seen", func(k *ImportKey) { k.Name = "a\u202eb" }},
		{"NUL in a name", "name", "cannot be seen", func(k *ImportKey) { k.Name = "a\x00" }},
		{"neither", "text", "is required", func(k *ImportKey) { k.Text = Secret{} }},
		{"both", "hash", "stands beside text", func(k *ImportKey) { k.Hash = hashOf("x") }},
		{"short", "text", "too few", func(k *ImportKey) { k.Text = NewSecret("Zp4WkRt7VnLq2Xs") }},
		{"one letter", "text", "too regular", func(k *ImportKey) { k.Text = NewSecret(strings.Repeat("a", 64)) }},
		{"a row of digits", "text", "too regular", func(k *ImportKey) { k.Text = NewSecret("12345678901234567890") }},
		{"the alphabet", "text", "too regular", func(k *ImportKey) { k.Text = NewSecret("abcdefghijklmnopqrstuvwxyz") }},
		{"a word again and again", "text", "too regular", func(k *ImportKey) { k.Text = NewSecret("testtesttesttest") }},
		{"space", "text", "at place 5", func(k *ImportKey) { k.Text = NewSecret("abcd efgh1234567890xyz") }},
		{"NUL", "text", "at place 1", func(k *ImportKey) { k.Text = NewSecret("\x00" + oldText(1)) }},
		{"line break at the end", "text", "at place 33", func(k *ImportKey) { k.Text = NewSecret(oldText(1) + "\n") }},
		{"umlaut", "text", "at place 1", func(k *ImportKey) { k.Text = NewSecret("ä" + oldText(1)) }},
		{"endless", "text", "at most 4096", func(k *ImportKey) { k.Text = NewSecret(strings.Repeat(oldText(1), 200)) }},
		{"ours, mistyped", "text", "checksum is wrong", func(k *ImportKey) { k.Text = NewSecret(ours[:30] + flip(ours[30:31]) + ours[31:]) }},
		{"ours, cut", "text", "checksum is wrong", func(k *ImportKey) { k.Text = NewSecret(ours[:len(ours)-1]) }},
		{"client secret", "text", "client secret", func(k *ImportKey) { k.Text = client }},
		{"admin token", "text", "admin token", func(k *ImportKey) { k.Text = token }},
		{"bare hash", "hash", "must be sha256:", func(k *ImportKey) { k.Text, k.Hash = Secret{}, hashOf("x")[7:] }},
		{"short hash", "hash", "must be sha256:", func(k *ImportKey) { k.Text, k.Hash = Secret{}, "sha256:abcd" }},
		{"hash of nothing", "hash", "no key", func(k *ImportKey) { k.Text, k.Hash = Secret{}, hashOf("") }},
		{"zeros", "hash", "no key", func(k *ImportKey) { k.Text, k.Hash = Secret{}, "sha256:"+strings.Repeat("0", 64) }},
		{"unknown API", "apis[0]", "did you mean", func(k *ImportKey) { k.APIs = []APIName{"order"} }},
		{"unknown scope", "scopes[0]", "there is no scope", func(k *ImportKey) { k.Scopes = []Scope{"everything"} }},
		{"unknown plan", "plan", "there is no plan", func(k *ImportKey) { k.Plan = "gold" }},
		{"unknown tenant", "tenant", "there is no tenant", func(k *ImportKey) { k.Tenant = "nobody" }},
		{"tenant without keys", "tenant", "switched off", func(k *ImportKey) { k.Tenant = "off" }},
		{"tenant plan without keys", "tenant", "does not include", func(k *ImportKey) { k.Tenant = "poor" }},
		{"unknown owner", "owner.id", "no user", func(k *ImportKey) { k.Owner = &OwnerInput{Type: OwnerUser, ID: "usr_1"} }},
		{"revoked from the start", "status", "must be one of", func(k *ImportKey) { k.Status = Revoked }},
		{"made tomorrow", "created_at", "future", func(k *ImportKey) { k.CreatedAt = now.Add(time.Hour) }},
		{"made long ago", "created_at", "1970", func(k *ImportKey) { k.CreatedAt = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"over before it was made", "expires_at", "not after created_at", func(k *ImportKey) { k.CreatedAt, k.ExpiresAt = now.Add(-time.Hour), now.Add(-2*time.Hour) }},
		{"far end", "expires_at", "9999", func(k *ImportKey) { k.ExpiresAt = time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"much metadata", "metadata", "at most 50", func(k *ImportKey) {
			k.Metadata = map[string]string{}
			for i := range 51 {
				k.Metadata[fmt.Sprint(i)] = ""
			}
		}},
		{"found when read", "tenant", "odd", func(k *ImportKey) { k.Wrong = []FieldError{{"tenant", "odd"}} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			good, bad := ImportKey{Name: "good", Text: NewSecret(oldText(7))}, ImportKey{Name: "bad", Text: NewSecret(oldText(8))}
			c.change(&bad)
			results, err := h.registry.Import(t.Context(), operator(), []ImportKey{good, bad}, true)
			if err != nil || results[0].Status != ImportWouldCreate || results[1].Status != ImportRefused {
				t.Fatalf("dry run: got %+v, %v", results, err)
			}
			if e := results[1].Errors; len(e) != 1 || e[0].Field != c.field || !strings.Contains(e[0].Message, c.message) {
				t.Errorf("dry run: got %+v, want %s: %s", e, c.field, c.message)
			}
			if text := bad.Text.Reveal(); text != "" && strings.Contains(fmt.Sprint(results), text) {
				t.Error("the key is in the answer")
			}
			_, err = h.registry.Import(t.Context(), operator(), []ImportKey{good, bad}, false)
			if r := refused(t, err, ValidationFailed); len(r.Fields) != 1 || r.Fields[0].Field != "keys[1]."+c.field {
				t.Errorf("got fields %+v", r.Fields)
			}
		})
	}
	if got := h.code(oldText(7), ""); got != InvalidCredentials {
		t.Errorf("a key came in beside a wrong one: %s", got)
	}
}

// TestImportTellsAllProblems names every wrong field of every key.
func TestImportTellsAllProblems(t *testing.T) {
	h := foreign(t)
	_, err := h.registry.Import(t.Context(), operator(), []ImportKey{
		{Text: NewSecret("short"), Plan: "gold"},
		{Name: "a", Text: NewSecret(oldText(1))},
		{Name: "b", Hash: hashOf(oldText(1)), APIs: []APIName{"x"}},
	}, false)
	var fields []string
	for _, f := range refused(t, err, ValidationFailed).Fields {
		fields = append(fields, f.Field)
	}
	want := []string{"keys[0].text", "keys[0].name", "keys[0].plan", "keys[2].hash", "keys[2].apis[0]"}
	if !slices.Equal(fields, want) {
		t.Errorf("got %v, want %v", fields, want)
	}
}

func TestImportIsTheProviders(t *testing.T) {
	h := foreign(t)
	h.tenant("acme", nil)
	list := []ImportKey{{Name: "a", Text: NewSecret(oldText(1))}}
	for _, role := range BuiltinRoles() {
		a := member("", role.Name)
		if !role.Provider {
			a = member("acme", role.Name)
		}
		_, err := h.registry.Import(t.Context(), a, list, true)
		if allowed := err == nil; allowed != (role.Name == RoleOperator) {
			t.Errorf("%s: got %v", role.Name, err)
		}
	}
	// The permission alone does not do it within a tenant: caps and plans would be passed by.
	a := member("acme", RoleDeveloper)
	a.Permissions[KeysGenerateAny] = struct{}{}
	_, err := h.registry.Import(t.Context(), a, list, true)
	refused(t, err, PermissionDenied)
}

// TestImportPassesByTheCapsAndCounts keeps the promises of another gateway, and lets nobody make more
// keys here for it.
func TestImportPassesByTheCapsAndCounts(t *testing.T) {
	h := foreign(t)
	h.setCatalog(func(c *Catalog) {
		c.Policy.MaxKeysPerTenant, c.Policy.ApprovalRequired = 2, true
		c.Policy.MaxExpiry, c.Policy.DefaultExpiry = Lifetime{For: time.Hour}, Lifetime{For: time.Hour}
	})
	h.importAll(ImportKey{Name: "a", Text: NewSecret(oldText(1))}, ImportKey{Name: "b", Text: NewSecret(oldText(2))}, ImportKey{Name: "c", Text: NewSecret(oldText(3))})
	page, err := h.registry.Credentials(t.Context(), operator(), CredentialFilter{})
	if err != nil || len(page.Items) != 3 {
		t.Fatalf("got %d keys, %v", len(page.Items), err)
	}
	for _, c := range page.Items {
		if c.Status != Active || !c.ExpiresAt.IsZero() {
			t.Errorf("%s is %s and ends %s", c.Name, c.Status, c.ExpiresAt)
		}
	}
	_, err = h.registry.Generate(t.Context(), operator(), NewCredential{Name: "d"})
	if r := refused(t, err, MaxKeysReached); r.Limit != 2 {
		t.Errorf("got %+v", r)
	}
}

func TestImportSizes(t *testing.T) {
	h := foreign(t)
	_, err := h.registry.Import(t.Context(), operator(), nil, false)
	refused(t, err, ValidationFailed)
	_, err = h.registry.Import(t.Context(), operator(), make([]ImportKey, MaxImport+1), false)
	refused(t, err, ValidationFailed)
	before := h.store.updates
	list := make([]ImportKey, 2*declareChunk+1)
	for i := range list {
		list[i] = ImportKey{Name: fmt.Sprint(i), Text: NewSecret(oldText(i))}
	}
	h.importAll(list...)
	if got := h.store.updates - before; got != 3 {
		t.Errorf("%d keys took %d transactions, want 3", len(list), got)
	}
	v, err := h.registry.VerifyAudit(t.Context(), operator(), "default", nil)
	if err != nil || v.Fault != nil || v.Head.Count != int64(len(list)) {
		t.Errorf("audit: got %+v, %v", v, err)
	}
}

// TestImportInterrupted fails after the first chunk, and is completed by the next.
func TestImportInterrupted(t *testing.T) {
	h := foreign(t)
	list := make([]ImportKey, 2*declareChunk)
	for i := range list {
		list[i] = ImportKey{Name: fmt.Sprint(i), Text: NewSecret(oldText(i))}
	}
	flaky := &flakyStore{fakeStore: h.store, left: 1}
	h.registry.store = flaky
	_, err := h.registry.Import(t.Context(), operator(), list, false)
	refused(t, err, StorageFullHere)
	h.registry.store = h.store
	results := h.importAll(list...)
	count := map[ImportStatus]int{}
	for _, r := range results {
		count[r.Status]++
	}
	if count[ImportExists] != declareChunk || count[ImportCreated] != declareChunk {
		t.Errorf("got %v", count)
	}
}

// flakyStore has room for so many updates.
type flakyStore struct {
	*fakeStore
	left int
}

func (s *flakyStore) Update(ctx context.Context, fn func(context.Context, Tx) error) (Seq, error) {
	if s.left--; s.left < 0 {
		return 0, fmt.Errorf("update: %w", ErrStorageFull)
	}
	return s.fakeStore.Update(ctx, fn)
}

// TestConcurrentImports lets two import the same keys: each is made once.
func TestConcurrentImports(t *testing.T) {
	h := foreign(t)
	list := make([]ImportKey, 50)
	for i := range list {
		list[i] = ImportKey{Name: fmt.Sprint(i), Text: NewSecret(oldText(i))}
	}
	counts := make(chan int, 4)
	for range cap(counts) {
		go func() {
			created := 0
			results, err := h.registry.Import(h.t.Context(), operator(), list, false)
			if err != nil {
				t.Error(err)
			}
			for _, r := range results {
				if r.Status == ImportCreated {
					created++
				}
			}
			counts <- created
		}()
	}
	sum := 0
	for range cap(counts) {
		sum += <-counts
	}
	if sum != len(list) {
		t.Errorf("%d keys were made of %d", sum, len(list))
	}
}

// TestImportUnderAnOldPepper does not let a key in a second time because the pepper changed.
func TestImportUnderAnOldPepper(t *testing.T) {
	h := foreign(t)
	first := h.importAll(ImportKey{Name: "a", Text: NewSecret(oldText(1))})
	newer, err := newPepper(2, []byte(strings.Repeat("p", pepperLen)))
	if err != nil {
		t.Fatal(err)
	}
	h.vault.peppers = append([]*pepper{newer}, h.vault.peppers...)
	if r := h.importAll(ImportKey{Name: "a", Text: NewSecret(oldText(1))}); r[0].Status != ImportExists || r[0].ID != first[0].ID {
		t.Errorf("got %+v", r)
	}
}

func TestImportWithoutAStore(t *testing.T) {
	h := foreign(t)
	h.store.breakWith(ErrStoreUnavailable)
	defer h.store.breakWith(nil)
	_, err := h.registry.Import(t.Context(), operator(), []ImportKey{{Name: "a", Text: NewSecret(oldText(1))}}, false)
	var r *Refusal
	if !errors.As(err, &r) || r.Code != StoreUnavailableHere {
		t.Errorf("got %v", err)
	}
}
