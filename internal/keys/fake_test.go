package keys

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeStore is a Store in memory: small, strict about versions and digests, and able to fail.
type fakeStore struct {
	PeopleReader // beyond users by id there are none: people are tested on a real store
	PeopleTx
	users map[UserID]User

	mu          sync.Mutex
	seq         Seq
	credentials map[CredentialID]Credential
	tenants     map[TenantID]Tenant
	tokens      map[TokenID]Token
	audit       map[string][]AuditEntry
	meta        map[string][]byte
	replays     map[Digest]Replay
	uses        []LastUse
	changed     map[any]Seq // by CredentialID or TenantID
	moved       chan struct{}

	fail     error // every call returns it
	mostRows int   // 0: Changes gives as many as asked for
	updates  int
	reads    int
}

var _ Store = (*fakeStore)(nil)

func newFakeStore() *fakeStore {
	return &fakeStore{
		users: map[UserID]User{}, credentials: map[CredentialID]Credential{}, tenants: map[TenantID]Tenant{}, tokens: map[TokenID]Token{},
		audit: map[string][]AuditEntry{}, meta: map[string][]byte{}, replays: map[Digest]Replay{}, changed: map[any]Seq{}, moved: make(chan struct{}),
	}
}

// breakWith makes every call fail, nil mends it.
func (s *fakeStore) breakWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
	s.wake()
}

// newest is the newest change number.
func (s *fakeStore) newest() Seq {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seq
}

func (s *fakeStore) readsSoFar() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

func (s *fakeStore) wake() {
	close(s.moved)
	s.moved = make(chan struct{})
}

// forge writes a row as somebody with access to the database would: no version, no MAC, but seen by
// who reads changes.
func (s *fakeStore) forge(id CredentialID, fn func(*Credential)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := copyCredential(s.credentials[id])
	fn(&c)
	s.seq++
	s.credentials[c.ID], s.changed[c.ID] = c, s.seq
	s.wake()
}

func copyCredential(c Credential) Credential {
	c.APIs, c.Scopes, c.AllowedIPs = slices.Clone(c.APIs), slices.Clone(c.Scopes), slices.Clone(c.AllowedIPs)
	c.RedirectURIs, c.Metadata, c.Secrets = slices.Clone(c.RedirectURIs), maps.Clone(c.Metadata), slices.Clone(c.Secrets)
	return c
}

// Update works on copies of the maps, so that a failing fn leaves nothing.
func (s *fakeStore) Update(ctx context.Context, fn func(context.Context, Tx) error) (Seq, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.updates++
	if s.fail != nil {
		return 0, s.fail
	}
	next := &fakeStore{
		users: maps.Clone(s.users),
		seq:   s.seq + 1, credentials: maps.Clone(s.credentials), tenants: maps.Clone(s.tenants), tokens: maps.Clone(s.tokens),
		audit: maps.Clone(s.audit), meta: maps.Clone(s.meta), replays: maps.Clone(s.replays), changed: maps.Clone(s.changed),
	}
	tx := &fakeTx{fakeStore: next}
	if err := fn(ctx, tx); err != nil {
		return 0, err
	}
	s.credentials, s.tenants, s.tokens = next.credentials, next.tenants, next.tokens
	s.audit, s.meta, s.replays, s.changed = next.audit, next.meta, next.replays, next.changed
	if tx.dirty {
		s.seq++
		s.wake()
	}
	return s.seq, nil
}

// fakeTx writes to a store of its own that nobody else sees.
type fakeTx struct {
	*fakeStore
	dirty bool
}

func (t *fakeTx) PutCredential(_ context.Context, c Credential) error {
	old, exists := t.credentials[c.ID]
	if c.Version == 1 && exists {
		return ErrDuplicate
	}
	if c.Version != 1 && (!exists || old.Version != c.Version-1) {
		return ErrConflict
	}
	for _, other := range t.credentials {
		for _, a := range other.Secrets {
			for _, b := range c.Secrets {
				if other.ID != c.ID && a.Digest == b.Digest {
					return ErrDuplicate
				}
			}
		}
	}
	t.credentials[c.ID], t.changed[c.ID], t.dirty = copyCredential(c), t.seq, true
	return nil
}

func (t *fakeTx) PutTenant(_ context.Context, n Tenant) error {
	if t.tenants[n.ID].Version != n.Version-1 {
		return ErrConflict
	}
	t.tenants[n.ID], t.changed[n.ID], t.dirty = n, t.seq, true
	return nil
}

func (t *fakeTx) PutToken(_ context.Context, n Token) error {
	old, exists := t.tokens[n.ID]
	if n.Version == 1 && exists {
		return ErrDuplicate
	}
	if old.Version != n.Version-1 {
		return ErrConflict
	}
	t.tokens[n.ID] = n
	return nil
}

func (t *fakeTx) AppendAudit(_ context.Context, e AuditEntry) error {
	t.audit[e.Chain] = append(slices.Clone(t.audit[e.Chain]), e)
	return nil
}

func (t *fakeTx) PutMeta(_ context.Context, name string, value []byte) error {
	t.meta[name] = slices.Clone(value)
	return nil
}

// look locks for one read and counts it.
func look[T any](s *fakeStore, fn func() (T, error)) (T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.fail != nil {
		var zero T
		return zero, s.fail
	}
	return fn()
}

func found[K comparable, V any](m map[K]V, k K) (V, error) {
	v, ok := m[k]
	if !ok {
		return v, ErrNotFound
	}
	return v, nil
}

func (s *fakeStore) Credential(_ context.Context, id CredentialID, tombstones bool) (Credential, error) {
	return look(s, func() (Credential, error) {
		c, err := found(s.credentials, id)
		if err == nil && !c.DeletedAt.IsZero() && !tombstones {
			return Credential{}, ErrNotFound
		}
		return copyCredential(c), err
	})
}

func (s *fakeStore) CredentialByDigest(_ context.Context, d Digest) (Credential, error) {
	return look(s, func() (Credential, error) {
		for _, c := range s.credentials {
			if slices.ContainsFunc(c.Secrets, func(one StoredSecret) bool { return one.Digest == d }) {
				return copyCredential(c), nil
			}
		}
		return Credential{}, ErrNotFound
	})
}

func (s *fakeStore) Credentials(_ context.Context, f CredentialFilter) (CredentialPage, error) {
	return look(s, func() (CredentialPage, error) {
		if f.Limit < 1 || f.Now.IsZero() {
			return CredentialPage{}, errors.New("the filter lacks a limit or the time")
		}
		if f.Cursor != "" && !strings.HasPrefix(f.Cursor, "after ") {
			return CredentialPage{}, ErrBadCursor
		}
		var page CredentialPage
		for _, id := range sortedKeys(s.credentials) {
			c := s.credentials[id]
			if !c.DeletedAt.IsZero() || f.Tenant != "" && c.Tenant != f.Tenant || f.OwnerType != "" && c.Owner.Type != f.OwnerType ||
				f.Managed == ManagedByFile && c.ManagedBy == "" || f.Status != "" && c.StatusAt(f.Now) != f.Status ||
				"after "+string(id) <= f.Cursor {
				continue
			}
			if len(page.Items) == f.Limit {
				page.Next = "after " + string(page.Items[len(page.Items)-1].ID)
				break
			}
			page.Items = append(page.Items, copyCredential(c))
		}
		return page, nil
	})
}

func (s *fakeStore) CountCredentials(_ context.Context, f CountFilter) (int, error) {
	return look(s, func() (int, error) {
		n := 0
		for _, c := range s.credentials {
			st := c.StatusAt(f.Now)
			if c.Tenant == f.Tenant && c.DeletedAt.IsZero() && (st == Active || st == Suspended || st == Pending) &&
				(f.OwnerID == "" || c.Owner.Type == f.OwnerType && c.Owner.ID == f.OwnerID) {
				n++
			}
		}
		return n, nil
	})
}

func (s *fakeStore) Tenant(_ context.Context, id TenantID) (Tenant, error) {
	return look(s, func() (Tenant, error) { return found(s.tenants, id) })
}

func (s *fakeStore) Token(_ context.Context, id TokenID) (Token, error) {
	return look(s, func() (Token, error) { return found(s.tokens, id) })
}

func (s *fakeStore) TokenByDigest(_ context.Context, d Digest) (Token, error) {
	return look(s, func() (Token, error) {
		for _, t := range s.tokens {
			if t.Digest == d {
				return t, nil
			}
		}
		return Token{}, ErrNotFound
	})
}

func (s *fakeStore) Tokens(_ context.Context, f TokenFilter) (TokenPage, error) {
	return look(s, func() (TokenPage, error) {
		var page TokenPage
		for _, id := range sortedKeys(s.tokens) {
			if t := s.tokens[id]; f.Tenant == "" || t.Tenant == f.Tenant {
				page.Items = append(page.Items, t)
			}
		}
		return page, nil
	})
}

func (s *fakeStore) AuditHead(_ context.Context, chain string) (AuditEntry, error) {
	return look(s, func() (AuditEntry, error) {
		if list := s.audit[chain]; len(list) > 0 {
			return list[len(list)-1], nil
		}
		return AuditEntry{}, nil
	})
}

func (s *fakeStore) AuditEntries(_ context.Context, chain string, after int64, most int) ([]AuditEntry, error) {
	return look(s, func() ([]AuditEntry, error) {
		list := s.audit[chain][min(max(int(after), 0), len(s.audit[chain])):]
		return slices.Clone(list[:min(most, len(list))]), nil
	})
}

func (s *fakeStore) Meta(_ context.Context, name string) ([]byte, error) {
	return look(s, func() ([]byte, error) { return found(s.meta, name) })
}

func (s *fakeStore) Load(_ context.Context, v LoadVisitor) (Seq, error) {
	s.mu.Lock()
	if s.fail != nil {
		defer s.mu.Unlock()
		return 0, s.fail
	}
	tenants, credentials, seq := maps.Clone(s.tenants), maps.Clone(s.credentials), s.seq
	s.mu.Unlock()
	for _, c := range credentials { // before the tenants: the order must not matter
		if !c.DeletedAt.IsZero() {
			continue
		}
		if err := v.Credential(copyCredential(c)); err != nil {
			return 0, err
		}
	}
	for _, t := range tenants {
		if err := v.Tenant(t); err != nil {
			return 0, err
		}
	}
	return seq, nil
}

func (s *fakeStore) Changes(_ context.Context, after Seq, most int) ([]Change, error) {
	return look(s, func() ([]Change, error) {
		var list []Change
		for what, seq := range s.changed {
			if seq <= after {
				continue
			}
			switch id := what.(type) {
			case CredentialID:
				c := copyCredential(s.credentials[id])
				list = append(list, Change{Seq: seq, Credential: &c})
			case TenantID:
				t := s.tenants[id]
				list = append(list, Change{Seq: seq, Tenant: &t})
			}
		}
		if s.seq < after {
			return nil, ErrStoreWentBack
		}
		slices.SortFunc(list, func(a, b Change) int { return cmp.Compare(a.Seq, b.Seq) })
		if s.mostRows > 0 {
			most = min(most, s.mostRows)
		}
		return list[:min(most, len(list))], nil
	})
}

func (s *fakeStore) Head(context.Context) (Seq, error) {
	return look(s, func() (Seq, error) { return s.seq, nil })
}

func (s *fakeStore) Wait(ctx context.Context, after Seq) error {
	s.mu.Lock()
	seq, moved, err := s.seq, s.moved, s.fail
	s.mu.Unlock()
	if err != nil || seq > after {
		return err
	}
	select {
	case <-moved:
	case <-ctx.Done():
	}
	return nil
}

func (s *fakeStore) Close() error { return nil }

// clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 2, 10, 30, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// house is a whole domain over a fakeStore: registry, followed directory and a clock.
type house struct {
	t        *testing.T
	store    *fakeStore
	vault    *Vault
	format   Format
	catalog  *Catalog
	dir      *Directory
	registry *Registry
	clock    *clock
}

func testFormat(t testing.TB) Format {
	t.Helper()
	f, err := NewFormat("pst")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func testVault(t testing.TB) *Vault {
	t.Helper()
	pepper, err := NewPepper(nil)
	if err != nil {
		t.Fatal(err)
	}
	keyset, err := NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	v, err := OpenVault(pepper, keyset)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// testCatalog has two APIs, two plans and two tenant plans; nothing is limited.
func testCatalog() *Catalog {
	return &Catalog{
		APIs: map[APIName]API{
			"orders": {Name: "orders", Scopes: map[Scope]string{"orders.read": "", "orders.write": ""}},
			"bills":  {Name: "bills", Scopes: map[Scope]string{"bills.read": "", "bills.pay": ""}},
		},
		Plans: map[PlanName]*Plan{
			"standard": {Name: "standard", Zone: time.UTC},
			"partner":  {Name: "partner", Zone: time.UTC},
		},
		TenantPlans: map[string]TenantPlan{
			"business": {Keys: true, DefaultPlan: "partner"},
			"trial":    {Keys: false},
		},
		Policy: Policy{
			KeysEnabled: true, DefaultPlan: "standard", MaxKeysPerTenant: Unlimited, MaxKeysPerUser: Unlimited,
			SecretVisibility: map[Kind]Visibility{APIKey: Once, Client: Revealable},
			OwnerOf:          map[Kind]OwnerType{APIKey: OwnerUser, Client: OwnerTenant},
			NameRequired:     true,
		},
	}
}

// newHouse opens everything, with a change to the catalog if one is given.
func newHouse(t *testing.T, changes ...func(*Catalog)) *house {
	t.Helper()
	h := &house{t: t, store: newFakeStore(), vault: testVault(t), format: testFormat(t), catalog: testCatalog(), clock: newClock()}
	for _, change := range changes {
		change(h.catalog)
	}
	h.dir = NewDirectory(DirectoryOptions{
		Store: h.store, Vault: h.vault, Format: h.format, Catalog: h.catalog, Now: h.clock.Now, MaxStale: time.Hour,
	})
	registry, err := OpenRegistry(t.Context(), h.options())
	if err != nil {
		t.Fatal(err)
	}
	h.registry = registry
	if err := h.dir.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.follow(h.dir)
	return h
}

func (h *house) options() RegistryOptions {
	return RegistryOptions{
		Store: h.store, Vault: h.vault, Format: h.format, Catalog: h.catalog, Directory: h.dir, Now: h.clock.Now,
	}
}

// follow keeps a directory up to date until the test ends.
func (h *house) follow(d *Directory) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Follow(ctx) }()
	h.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Errorf("Follow ended with %v", err)
		}
	})
}

// setCatalog changes the configuration as a reload does.
func (h *house) setCatalog(change func(*Catalog)) {
	c := testCatalog()
	change(c)
	h.catalog = c
	h.dir.SetCatalog(c)
	h.registry.SetCatalog(c)
}

// generate makes a credential that must succeed.
func (h *house) generate(in NewCredential) Generated {
	h.t.Helper()
	if in.Name == "" {
		in.Name = "test"
	}
	g, err := h.registry.Generate(h.t.Context(), operator(), in)
	if err != nil {
		h.t.Fatalf("Generate: %v", err)
	}
	return g
}

// tenant makes or changes a tenant and waits until it is in effect.
func (h *house) tenant(id TenantID, change func(*Tenant)) {
	h.t.Helper()
	seq, err := h.store.Update(h.t.Context(), func(ctx context.Context, tx Tx) error {
		t, err := tx.Tenant(ctx, id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		t.ID, t.Name, t.Version = id, string(id), t.Version+1
		if change != nil {
			change(&t)
		}
		return tx.PutTenant(ctx, t)
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.wait(seq)
}

// change edits a stored credential with valid MACs, for what no method does yet.
func (h *house) change(id CredentialID, edit func(*Credential)) {
	h.t.Helper()
	seq, err := h.store.Update(h.t.Context(), func(ctx context.Context, tx Tx) error {
		c, err := tx.Credential(ctx, id, true)
		if err != nil {
			return err
		}
		edit(&c)
		c.Version++
		return tx.PutCredential(ctx, h.registry.seal(c))
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.wait(seq)
}

func (h *house) wait(seq Seq) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 10*time.Second)
	defer cancel()
	if err := h.dir.WaitApplied(ctx, seq); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) code(text, clientID string) Code {
	_, code := h.dir.Authenticate(Presented{Text: text, ClientID: clientID}, h.clock.Now())
	return code
}

// user makes a person of a tenant.
func (h *house) user(tenant TenantID, id UserID) {
	u := User{ID: id, Tenant: tenant, Email: string(id) + "@example.com", Version: 1}
	h.vault.SealUser(&u)
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	h.store.users[id] = u
}

func (s *fakeStore) User(_ context.Context, id UserID) (User, error) {
	u, ok := s.users[id]
	if !ok {
		return User{}, ErrNotFound
	}
	return u, nil
}

func operator() Actor {
	role, _ := builtinRole(RoleOperator)
	return Actor{ActorRef: ActorRef{Type: ActorToken, ID: "tok_operator", Name: "operator"}, Permissions: role.Permissions}
}

// member is a token of a tenant with a role.
func member(t TenantID, names ...RoleName) Actor {
	a := Actor{ActorRef: ActorRef{Type: ActorToken, ID: "tok_" + string(t), Name: string(t)}, Tenant: t, Permissions: PermissionSet{}}
	for _, name := range names {
		role, _ := builtinRole(name)
		maps.Copy(a.Permissions, role.Permissions)
	}
	return a
}

// refused checks that the error is a refusal with the code, and returns it.
func refused(t *testing.T, err error, want RefusalCode) *Refusal {
	t.Helper()
	var r *Refusal
	if !errors.As(err, &r) {
		t.Fatalf("got error %v, want a refusal %s", err, want)
	}
	if r.Code != want {
		t.Fatalf("got refusal %v, want code %s", r, want)
	}
	return r
}

func (s *fakeStore) ListAudit(_ context.Context, f AuditFilter) (AuditPage, error) {
	return look(s, func() (AuditPage, error) {
		var page AuditPage
		for chain, list := range s.audit {
			for _, e := range list {
				if (f.Chain == "" || f.Chain == chain) && (f.Action == "" || f.Action == e.Action) &&
					(f.Actor == "" || f.Actor == e.Actor.ID) && (f.Target == "" || f.Target == e.Target) {
					page.Items = append(page.Items, e)
				}
			}
		}
		slices.SortFunc(page.Items, func(a, b AuditEntry) int {
			return cmp.Or(b.Time.Compare(a.Time), strings.Compare(b.Chain, a.Chain), cmp.Compare(b.Seq, a.Seq))
		})
		page.Items = page.Items[:min(f.Limit, len(page.Items))]
		return page, nil
	})
}

func (s *fakeStore) AuditHeads(context.Context) ([]AuditEntry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var heads []AuditEntry
	for _, chain := range slices.Sorted(maps.Keys(s.audit)) {
		heads = append(heads, s.audit[chain][len(s.audit[chain])-1])
	}
	return heads, s.fail
}

func (s *fakeStore) LastUses(_ context.Context, ids []CredentialID) ([]LastUse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var uses []LastUse
	for _, u := range s.uses {
		if slices.Contains(ids, u.Credential) {
			uses = append(uses, u)
		}
	}
	return uses, s.fail
}

func (s *fakeStore) TakenDigests(ctx context.Context, list []Digest) ([]Digest, error) {
	var taken []Digest
	for _, d := range list {
		if _, err := s.CredentialByDigest(ctx, d); err == nil {
			taken = append(taken, d)
		} else if !errors.Is(err, ErrNotFound) {
			return nil, err
		}
	}
	return taken, nil
}
