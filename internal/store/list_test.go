package store_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postern/internal/keys"
)

func testList(t *testing.T, open func(*testing.T) keys.Store) {
	t.Run("filters", func(t *testing.T) { testFilters(t, open(t)) })
	t.Run("search", func(t *testing.T) { testSearch(t, open(t)) })
	t.Run("search after changes", func(t *testing.T) { testSearchAfterChanges(t, open(t)) })
	t.Run("narrowing", func(t *testing.T) { testNarrowing(t, open(t)) })
	t.Run("pages", func(t *testing.T) { testPages(t, open(t)) })
	t.Run("cursors", func(t *testing.T) { testCursors(t, open(t)) })
}

// ids lists what f selects.
func ids(t interface {
	Helper()
	Fatal(...any)
}, s keys.Reader, f keys.CredentialFilter) []string {
	t.Helper()
	page, err := s.Credentials(context.Background(), f)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range page.Items {
		out = append(out, string(c.ID))
	}
	return out
}

func testFilters(t *testing.T, s keys.Store) {
	make := func(id string, change func(*keys.Credential)) keys.Credential {
		c := bare(len(id)*1000 + int(id[0]))
		c.ID = keys.CredentialID(id)
		c.Secrets = nil
		change(&c)
		return c
	}
	past, later := noon.Add(-time.Second), noon.Add(time.Hour)
	put(t, s,
		make("a", func(c *keys.Credential) {}),
		make("b", func(c *keys.Credential) { c.ExpiresAt = later; c.Kind = keys.Client }),
		make("c", func(c *keys.Credential) { c.ExpiresAt = noon }), // expired from this instant on
		make("d", func(c *keys.Credential) { c.Status, c.ExpiresAt = keys.Suspended, past }),
		make("e", func(c *keys.Credential) { c.Status = keys.Suspended }),
		make("f", func(c *keys.Credential) { c.Status, c.ExpiresAt = keys.Pending, past }),
		make("g", func(c *keys.Credential) { c.Status, c.ExpiresAt = keys.Revoked, past }),
		make("h", func(c *keys.Credential) { c.Status = keys.Denied }),
		make("i", func(c *keys.Credential) { c.Tenant = "acme"; c.APIs = []keys.APIName{"a_b", "orders"} }),
		make("j", func(c *keys.Credential) { c.APIs = []keys.APIName{"axb", "orders2"}; c.ManagedBy = "f:1" }),
		make("k", func(c *keys.Credential) { c.Owner = keys.Owner{Type: keys.OwnerUser, ID: "u", Name: "U"} }),
		make("l", func(c *keys.Credential) { c.DeletedAt = past }),
	)
	for _, c := range []struct {
		name string
		f    keys.CredentialFilter
		want string
	}{
		{"everything", keys.CredentialFilter{}, "a b c d e f g h i j k"},
		{"tenant", keys.CredentialFilter{Tenant: "acme"}, "i"},
		{"tenant in another case", keys.CredentialFilter{Tenant: "ACME"}, ""},
		{"kind", keys.CredentialFilter{Kind: keys.Client}, "b"},
		{"owner type", keys.CredentialFilter{OwnerType: keys.OwnerUser}, "k"},
		{"owner", keys.CredentialFilter{OwnerType: keys.OwnerUser, OwnerID: "u"}, "k"},
		{"owner of the other type", keys.CredentialFilter{OwnerType: keys.OwnerTenant, OwnerID: "u"}, ""},
		{"active", keys.CredentialFilter{Status: keys.Active}, "a b i j k"},
		{"active a second before", keys.CredentialFilter{Status: keys.Active, Now: noon.Add(-time.Second)}, "a b c i j k"},
		{"expired", keys.CredentialFilter{Status: keys.Expired}, "c d"},
		{"suspended", keys.CredentialFilter{Status: keys.Suspended}, "e"},
		{"pending", keys.CredentialFilter{Status: keys.Pending}, "f"},
		{"revoked", keys.CredentialFilter{Status: keys.Revoked}, "g"},
		{"denied", keys.CredentialFilter{Status: keys.Denied}, "h"},
		{"api", keys.CredentialFilter{API: "orders"}, "i"},
		{"api with a wildcard in its name", keys.CredentialFilter{API: "a_b"}, "i"},
		{"api that is a part of a name", keys.CredentialFilter{API: "order"}, ""},
		{"expires before", keys.CredentialFilter{ExpiresBefore: later}, "c d f g"},
		{"managed by file", keys.CredentialFilter{Managed: keys.ManagedByFile}, "j"},
		{"managed by API", keys.CredentialFilter{Managed: keys.ManagedByAPI, Status: keys.Active}, "a b i k"},
		{"by expiry, never last", keys.CredentialFilter{Status: keys.Active, Sort: "expires_at", Limit: 2}, "b a"},
		{"limit", keys.CredentialFilter{Limit: 3}, "a b c"},
		{"limit out of range", keys.CredentialFilter{Limit: -1}, "a b c d e f g h i j k"},
		{"NUL in a value", keys.CredentialFilter{Tenant: "acme\x00"}, ""},
		{"SQL in a value", keys.CredentialFilter{Tenant: "' OR '1'='1", OwnerID: `"; DROP TABLE credentials; --`}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.f.Now.IsZero() {
				c.f.Now = noon
			}
			if got := strings.Join(ids(t, s, c.f), " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	t.Run("unknown sort", func(t *testing.T) {
		if _, err := s.Credentials(t.Context(), keys.CredentialFilter{Now: noon, Sort: "record"}); err == nil {
			t.Error("got no error, want one that names the orders")
		}
	})
}

func testSearch(t *testing.T, s keys.Store) {
	const umlaut, percent, under, back, greek, nul, plain = "Ökonom", "100% sure", "snake_case", `back\slash`, "Σίσυφος", "NUL\x00tail", "plain"
	all := []string{umlaut, percent, under, back, greek, nul, plain}
	for i, name := range all {
		c := bare(i)
		c.Name = name
		if name == plain {
			c.ID, c.Owner.Name = "key_AbCdEfGhIjKl", "José Ñandú"
		}
		put(t, s, c)
	}
	for _, c := range []struct {
		search string
		want   []string
	}{
		{"öKO", []string{umlaut}},
		{"0%", []string{percent}},
		{"%", []string{percent}},
		{"_", all}, // every id has one
		{"e_c", []string{under}},
		{"exc", nil},
		{`k\s`, []string{back}},
		{"ΣΊΣΥΦΟΣ", []string{greek}},
		{"nul", []string{nul}},
		{"nul\x00nothing", nil},
		{"KEY_ABCDEFGH", []string{plain}},
		{"ñANDÚ", []string{plain}},
		{"default", []string{umlaut, percent, under, back, greek, nul}}, // the owner's name
		{"active", nil},
		{strings.Repeat("a", 100_000), nil},
		{"' OR 1=1 --", nil},
	} {
		t.Run(fmt.Sprintf("%.20q", c.search), func(t *testing.T) {
			page, err := s.Credentials(t.Context(), keys.CredentialFilter{Now: noon, Search: c.search})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, item := range page.Items {
				got = append(got, item.Name)
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(c.want))
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// testSearchAfterChanges holds the search to what was committed last, also within a transaction.
func testSearchAfterChanges(t *testing.T, s keys.Store) {
	search := func(from keys.Reader, text string) string {
		t.Helper()
		return strings.Join(ids(t, from, keys.CredentialFilter{Now: noon, Search: text}), " ")
	}
	c := bare(1)
	c.Name = "first name"
	put(t, s, c, bare(2))
	if got := search(s, "first"); got != "key_000000000001" {
		t.Errorf("put: got %q", got)
	}
	c = next(c, func(c *keys.Credential) { c.Name, c.Owner.Name = "second name", "Somebody" })
	update(t, s, func(ctx context.Context, tx keys.Tx) error {
		if err := tx.PutCredential(ctx, c); err != nil {
			return err
		}
		if got := search(tx, "second"); got != "key_000000000001" {
			t.Errorf("in its own transaction: got %q", got)
		}
		if got := search(s, "second"); got != "" {
			t.Errorf("before it is committed: got %q", got)
		}
		return nil
	})
	for text, want := range map[string]string{"first": "", "second": "key_000000000001", "SOMEBODY": "key_000000000001", "name\nkey": ""} {
		if got := search(s, text); got != want {
			t.Errorf("changed: %q finds %q, want %q", text, got, want)
		}
	}
	put(t, s, next(c, func(c *keys.Credential) { c.DeletedAt, c.Secrets = noon, nil }))
	if got := search(s, "second"); got != "" {
		t.Errorf("deleted: got %q", got)
	}
	// So many changes that whatever is kept of old ones has to be cleared away.
	many := make([]keys.Credential, 1500)
	for i := range many {
		many[i] = bare(100 + i)
	}
	put(t, s, many...)
	for round := range 3 {
		for i := range many {
			many[i] = next(many[i], func(c *keys.Credential) {
				c.Name, c.Owner.Name = fmt.Sprintf("round %d of %d", round, i), fmt.Sprint("owner ", i%7)
			})
		}
		put(t, s, many...)
		if got, want := search(s, fmt.Sprintf("round %d of 77", round)), "key_000000000177"; !strings.HasPrefix(got, want) || len(got) != 11*(len(want)+1)-1 {
			t.Errorf("round %d: got %q", round, got)
		}
		if got := search(s, fmt.Sprintf("round %d", round-1)); got != "" {
			t.Errorf("round %d: names of the last are found: %q", round, got)
		}
		page, err := s.Credentials(t.Context(), keys.CredentialFilter{Now: noon, Search: "owner 3", Limit: 1000})
		if err != nil || len(page.Items) != 214 {
			t.Errorf("round %d: %d of an owner, %v; want 214", round, len(page.Items), err)
		}
	}
}

// testNarrowing compares each filter on few and on many credentials with what a plain loop selects:
// which way a list is read must not matter.
func testNarrowing(t *testing.T, s keys.Store) {
	const count = 5600 // more than twice of what is picked out at once
	all := make([]keys.Credential, count)
	for i := range all {
		c := bare(i)
		c.Secrets = nil
		c.Name = fmt.Sprintf("name %d", i*7919%count)
		c.CreatedAt = noon.Add(time.Duration(i/3) * time.Microsecond)
		c.Owner = keys.Owner{Type: keys.OwnerUser, ID: "many", Name: "Many"}
		if i%1000 == 5 {
			c.Owner = keys.Owner{Type: keys.OwnerUser, ID: "few", Name: "Few"}
		}
		if i%900 == 7 {
			c.Tenant, c.Status = "acme", keys.Suspended
		}
		if i%2 == 0 {
			c.Status = keys.Revoked
		}
		if i%700 == 1 {
			c.Kind = keys.Client
		}
		c.APIs = []keys.APIName{"orders"}
		if i%1100 == 9 {
			c.APIs = []keys.APIName{"bills", "orders"}
		}
		if i%800 == 3 {
			c.ExpiresAt = noon.Add(-time.Duration(i) * time.Second)
		}
		all[i] = c
	}
	put(t, s, all...)
	for _, f := range []keys.CredentialFilter{
		{}, {OwnerID: "few"}, {OwnerID: "many"}, {OwnerID: "none"}, {Tenant: "acme"}, {Tenant: "default"}, {Status: keys.Suspended}, {Status: keys.Revoked},
		{Status: keys.Active}, {Status: keys.Expired}, {Kind: keys.Client}, {Kind: keys.APIKey}, {ExpiresBefore: noon.Add(-time.Hour)}, {Search: "few"},
		{Search: "many"}, {Search: "name 77"}, {Search: "nothing"}, {Search: "name"},
		{API: "orders"}, {API: "bills"}, {API: "order"}, {API: "bills", Search: "name 1"}, {API: "bills", Search: "many"}, {API: "orders", Search: "few"}, {Tenant: "default", OwnerID: "few", Status: keys.Active, Search: "name"},
		{Tenant: "acme", Kind: keys.APIKey, Status: keys.Suspended}, {Tenant: "default", Status: keys.Revoked, Kind: keys.Client},
	} {
		var want []string
		for _, c := range all {
			text := strings.ToLower(c.Name + "\n" + string(c.ID) + "\n" + c.Owner.Name)
			if (f.OwnerID == "" || c.Owner.ID == f.OwnerID) && (f.Tenant == "" || c.Tenant == f.Tenant) && (f.Kind == "" || c.Kind == f.Kind) &&
				(f.Status == "" || c.StatusAt(noon) == f.Status) && (f.ExpiresBefore.IsZero() || !c.ExpiresAt.IsZero() && c.ExpiresAt.Before(f.ExpiresBefore)) &&
				strings.Contains(text, f.Search) && (f.API == "" || slices.Contains(c.APIs, f.API)) {
				want = append(want, string(c.ID))
			}
		}
		f.Now, f.Limit = noon, 1000
		for _, order := range []string{"created_at", "-name", "updated_at"} {
			f.Sort, f.Cursor = order, ""
			var got []string
			for {
				page, err := s.Credentials(t.Context(), f)
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range page.Items {
					got = append(got, string(c.ID))
				}
				if f.Cursor = page.Next; f.Cursor == "" {
					break
				}
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("%+v: %d credentials, want %d", f, len(got), len(want))
			}
		}
	}
}

// testPages draws credentials with many ties, an order and page sizes, and compares the pages with
// the same list sorted in memory.
func testPages(t *testing.T, s keys.Store) {
	all := make([]keys.Credential, 60)
	names := []string{"", "a", "A", "b", "ö", "Ö", "z", "\U0001F511"}
	for i := range all {
		c := bare(i)
		c.Name = names[i*7%len(names)]
		c.CreatedAt = noon.Add(time.Duration(i*13%5) * time.Microsecond)
		c.UpdatedAt = noon.Add(time.Duration(i*11%4) * time.Hour)
		if i%3 > 0 {
			c.ExpiresAt = noon.Add(time.Duration(i*17%6) * time.Minute)
		}
		if i%10 == 0 {
			c.Tenant = "acme"
		}
		all[i] = c
	}
	put(t, s, all...)
	never := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	expiry := func(c keys.Credential) time.Time {
		if c.ExpiresAt.IsZero() {
			return never
		}
		return c.ExpiresAt
	}
	orders := map[string]func(a, b keys.Credential) int{
		"created_at": func(a, b keys.Credential) int { return a.CreatedAt.Compare(b.CreatedAt) },
		"updated_at": func(a, b keys.Credential) int { return a.UpdatedAt.Compare(b.UpdatedAt) },
		"expires_at": func(a, b keys.Credential) int { return expiry(a).Compare(expiry(b)) },
		"name":       func(a, b keys.Credential) int { return cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) },
	}
	rapid.Check(t, func(t *rapid.T) {
		sort := rapid.SampledFrom([]string{"created_at", "updated_at", "expires_at", "name"}).Draw(t, "sort")
		descending := rapid.Bool().Draw(t, "descending")
		f := keys.CredentialFilter{Now: noon, Sort: sort}
		if descending {
			f.Sort = "-" + sort
		} else if sort == "created_at" && rapid.Bool().Draw(t, "default order") {
			f.Sort = ""
		}
		if rapid.Bool().Draw(t, "one tenant") {
			f.Tenant = "acme"
		}
		var want []string
		expected := slices.DeleteFunc(slices.Clone(all), func(c keys.Credential) bool { return f.Tenant != "" && c.Tenant != f.Tenant })
		slices.SortFunc(expected, func(a, b keys.Credential) int {
			order := cmp.Or(orders[sort](a, b), cmp.Compare(a.ID, b.ID))
			if descending {
				return -order
			}
			return order
		})
		for _, c := range expected {
			want = append(want, string(c.ID))
		}
		var got []string
		for {
			f.Limit = rapid.IntRange(1, 25).Draw(t, "limit")
			page, err := s.Credentials(context.Background(), f)
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Items) > f.Limit || (page.Next != "" && len(page.Items) != f.Limit) {
				t.Fatalf("page of %d items, limit %d, next %q", len(page.Items), f.Limit, page.Next)
			}
			for _, c := range page.Items {
				got = append(got, string(c.ID))
			}
			if page.Next == "" {
				break
			}
			f.Cursor = page.Next
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Fatalf("pages of %q put together (-want +got):\n%s", f.Sort, diff)
		}
	})
}

func testCursors(t *testing.T, s keys.Store) {
	put(t, s, bare(1), bare(2))
	page, err := s.Credentials(t.Context(), keys.CredentialFilter{Now: noon, Limit: 1})
	if err != nil || page.Next == "" {
		t.Fatalf("first page: next %q, %v", page.Next, err)
	}
	byName, err := s.Credentials(t.Context(), keys.CredentialFilter{Now: noon, Limit: 1, Sort: "name"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, cursor, sort string }{
		{"garbage", "%%%", ""},
		{"not JSON", "AAAA", ""},
		{"empty object", "e30", ""},
		{"cut off", page.Next[:len(page.Next)-3], ""},
		{"of another order", page.Next, "-created_at"},
		{"of another column", page.Next, "updated_at"},
		{"of a text column", byName.Next, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := s.Credentials(t.Context(), keys.CredentialFilter{Now: noon, Cursor: c.cursor, Sort: c.sort})
			if !isErr(err, keys.ErrBadCursor) {
				t.Errorf("got error %v, want ErrBadCursor", err)
			}
		})
	}
	if _, err := s.Tokens(t.Context(), keys.TokenFilter{Cursor: page.Next}); !isErr(err, keys.ErrBadCursor) {
		t.Errorf("tokens with a cursor of credentials: got error %v, want ErrBadCursor", err)
	}
}

func testCount(t *testing.T, open func(*testing.T) keys.Store) {
	s := open(t)
	n := 0
	add := func(tenant keys.TenantID, owner keys.Owner, status keys.Status, expires time.Time, deleted bool) {
		n++
		c := bare(n)
		c.Tenant, c.Owner, c.Status, c.ExpiresAt = tenant, owner, status, expires
		if deleted {
			c.DeletedAt = noon
		}
		put(t, s, c)
	}
	ann := keys.Owner{Type: keys.OwnerUser, ID: "ann", Name: "Ann"}
	own := keys.Owner{Type: keys.OwnerTenant, ID: "acme", Name: "Acme"}
	for _, status := range []keys.Status{keys.Active, keys.Pending, keys.Suspended, keys.Revoked, keys.Denied} {
		add("acme", ann, status, time.Time{}, false)
		add("acme", ann, status, noon, false)
		add("acme", own, status, noon.Add(time.Microsecond), false)
		add("acme", ann, status, time.Time{}, true)
		add("other", ann, status, time.Time{}, false)
	}
	for _, c := range []struct {
		name string
		f    keys.CountFilter
		want int
	}{
		{"a tenant's", keys.CountFilter{Tenant: "acme", Now: noon}, 6},
		{"a user's", keys.CountFilter{Tenant: "acme", OwnerType: keys.OwnerUser, OwnerID: "ann", Now: noon}, 3},
		{"the tenant's own", keys.CountFilter{Tenant: "acme", OwnerType: keys.OwnerTenant, OwnerID: "acme", Now: noon}, 3},
		{"a microsecond later", keys.CountFilter{Tenant: "acme", Now: noon.Add(time.Microsecond)}, 3},
		{"a microsecond before", keys.CountFilter{Tenant: "acme", Now: noon.Add(-time.Microsecond)}, 9},
		{"nobody's", keys.CountFilter{Tenant: "none", Now: noon}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := s.CountCredentials(t.Context(), c.f)
			if err != nil || got != c.want {
				t.Errorf("got %d, %v, want %d", got, err, c.want)
			}
		})
	}
}
