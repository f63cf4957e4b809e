package keys

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

const samplePepper = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

func vaultOf(t *testing.T, pepperFile string) *Vault {
	t.Helper()
	v, err := OpenVault([]byte(pepperFile), nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The rule is published: whoever imports keys relies on it.
func TestDigestIsThePublishedFormula(t *testing.T) {
	key, _ := base64.StdEncoding.DecodeString(samplePepper)
	v := vaultOf(t, "1:"+samplePepper)
	for _, text := range []string{"", "pst_live_x", strings.Repeat("long", 5000)} {
		sum := sha256.Sum256([]byte(text))
		m := hmac.New(sha256.New, key)
		m.Write(sum[:])
		want := Digest(m.Sum(nil))
		if v.Digest(text) != want {
			t.Errorf("Digest of %d bytes differs from HMAC-SHA-256(pepper, SHA-256(text))", len(text))
		}
		if v.DigestHash(sum) != want {
			t.Errorf("DigestHash of %d bytes differs", len(text))
		}
	}
}

func TestNewPepperIsFreshAndReadable(t *testing.T) {
	a, err := NewPepper(nil)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := NewPepper(nil)
	va, vb := vaultOf(t, string(a)), vaultOf(t, string(b))
	if string(a) == string(b) || va.Digest("x") == vb.Digest("x") {
		t.Error("two peppers are equal")
	}
	if !va.Recognises(va.Canary()) || va.Recognises(vb.Canary()) || va.Recognises(nil) {
		t.Error("the canary does not tell peppers apart")
	}
	if strings.Contains(string(va.Canary()), strings.TrimPrefix(strings.TrimSpace(string(a)), "1:")) {
		t.Error("the canary shows the pepper")
	}
	if _, err := NewPepper(strings.NewReader("short")); err == nil {
		t.Error("a short random source is taken")
	}
}

func TestPepperFile(t *testing.T) {
	second := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("b", 32)))
	v := vaultOf(t, "# kept since 2026\r\n1:"+samplePepper+"\r\n\n  3:"+second+"\n")
	if v.PepperVersion() != 3 {
		t.Errorf("current version %d, want the highest, 3", v.PepperVersion())
	}
	old := vaultOf(t, "1:"+samplePepper)
	if !v.Recognises(old.Canary()) || old.Recognises(v.Canary()) {
		t.Error("a canary of the old pepper must be known as long as that is kept, and no longer")
	}

	for name, c := range map[string]struct{ file, says string }{
		"empty":           {"", "empty"},
		"only comments":   {"# nothing\n", "empty"},
		"no colon":        {samplePepper, "line 1: there is no colon"},
		"version zero":    {"0:" + samplePepper, "version"},
		"version word":    {"one:" + samplePepper, "version"},
		"version too big": {"4294967296:" + samplePepper, "version"},
		"no base64":       {"1:" + samplePepper + "\n2:%%%", "line 2: what follows the colon is no base64"},
		"too short":       {"1:c2hvcnQ=", "has 5 bytes"},
		"all zeros":       {"1:" + base64.StdEncoding.EncodeToString(make([]byte, 32)), "all zeros"},
		"version twice":   {"1:" + samplePepper + "\n1:" + second, "twice"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := OpenVault([]byte(c.file), nil)
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "postern init") {
				t.Errorf("got error %v, want %q and the next step", err, c.says)
			}
			if err != nil && strings.Contains(err.Error(), samplePepper) {
				t.Errorf("the error shows the pepper: %v", err)
			}
		})
	}
}

func TestKeysetFile(t *testing.T) {
	for name, file := range map[string]string{
		"empty":       "",
		"no JSON":     "pepper",
		"other JSON":  `{"primaryKeyId": 7, "key": []}`,
		"binary":      "\x00\x01\x02",
		"wrong bytes": `{"primaryKeyId":1,"key":[{"keyData":{"typeUrl":"type.googleapis.com/google.crypto.tink.AesGcmKey","value":"U0VDUkVU","keyMaterialType":"SYMMETRIC"},"status":"ENABLED","keyId":1,"outputPrefixType":"TINK"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := OpenVault([]byte("1:"+samplePepper), []byte(file))
			if err == nil || !strings.Contains(err.Error(), "keyset file") || strings.Contains(err.Error(), "U0VDUkVU") {
				t.Errorf("got error %v, want one about the keyset file that shows nothing of it", err)
			}
		})
	}
	v := vaultOf(t, "1:"+samplePepper)
	if _, err := v.Seal("t", "c", "s", NewSecret("x")); err == nil {
		t.Error("Seal works without a keyset")
	}
	if _, err := v.Open("t", "c", "s", nil); err == nil {
		t.Error("Open works without a keyset")
	}
}

func TestSealOpensOnlyInItsPlace(t *testing.T) {
	v := testVault(t)
	sealed, err := v.Seal("acme", "key_1", "s1", NewSecret("the text"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(sealed), "the text") {
		t.Fatal("the sealed text is in the clear")
	}
	got, err := v.Open("acme", "key_1", "s1", sealed)
	if err != nil || got.Reveal() != "the text" {
		t.Fatalf("Open = %q, %v", got.Reveal(), err)
	}
	for name, place := range map[string]struct {
		t TenantID
		c CredentialID
		s SecretID
	}{
		"other tenant": {"acmf", "key_1", "s1"}, "other credential": {"acme", "key_2", "s1"}, "other secret": {"acme", "key_1", "s2"},
		"shifted": {"acmek", "ey_1", "s1"}, "shifted back": {"acm", "ekey_1", "s1"},
	} {
		if _, err := v.Open(place.t, place.c, place.s, sealed); !errors.Is(err, ErrSealed) {
			t.Errorf("%s: got error %v, want ErrSealed", name, err)
		}
	}
	for i := range sealed {
		changed := append([]byte(nil), sealed...)
		changed[i] ^= 1
		if _, err := v.Open("acme", "key_1", "s1", changed); !errors.Is(err, ErrSealed) {
			t.Fatalf("byte %d changed: got error %v, want ErrSealed", i, err)
		}
	}
	if _, err := testVault(t).Open("acme", "key_1", "s1", sealed); !errors.Is(err, ErrSealed) {
		t.Errorf("other keyset: got error %v, want ErrSealed", err)
	}
}

// Every field that decides who may do what must be under the MAC.
func TestRowMACFindsEveryDecisiveChange(t *testing.T) {
	v := testVault(t)
	credential := Credential{
		ID: "key_a", Kind: APIKey, Tenant: "acme", Owner: Owner{Type: OwnerTenant, ID: "acme", Name: "Acme"}, Status: Active,
		Plan: "standard", APIs: []APIName{"a", "b"}, Scopes: []Scope{"x"}, ExpiresAt: time.UnixMicro(1e15),
		AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, ManagedBy: "f:1", Version: 3,
	}
	v.SealCredential(&credential)
	if !v.CredentialIntact(&credential) {
		t.Fatal("a sealed credential is not intact")
	}
	for name, edit := range map[string]func(*Credential){
		"id": func(c *Credential) { c.ID = "key_b" }, "kind": func(c *Credential) { c.Kind = Client },
		"tenant": func(c *Credential) { c.Tenant = "other" }, "owner type": func(c *Credential) { c.Owner.Type = OwnerUser },
		"owner id": func(c *Credential) { c.Owner.ID = "x" }, "status": func(c *Credential) { c.Status = Suspended },
		"plan": func(c *Credential) { c.Plan = "partner" }, "api added": func(c *Credential) { c.APIs = []APIName{"a", "b", "c"} },
		"apis joined": func(c *Credential) { c.APIs = []APIName{"ab"} }, "api moved": func(c *Credential) { c.APIs, c.Scopes = []APIName{"a"}, []Scope{"b", "x"} },
		"scopes": func(c *Credential) { c.Scopes = nil }, "test": func(c *Credential) { c.Test = true },
		"expiry": func(c *Credential) { c.ExpiresAt = c.ExpiresAt.Add(time.Microsecond) }, "no expiry": func(c *Credential) { c.ExpiresAt = time.Time{} },
		"allowed ips": func(c *Credential) { c.AllowedIPs[0] = netip.MustParsePrefix("10.0.0.0/7") }, "no allowed ips": func(c *Credential) { c.AllowedIPs = nil },
		"managed by": func(c *Credential) { c.ManagedBy = "" }, "version": func(c *Credential) { c.Version++ },
		"deleted": func(c *Credential) { c.DeletedAt = time.UnixMicro(1) }, "mac": func(c *Credential) { c.MAC[31] ^= 1 }, "no mac": func(c *Credential) { c.MAC = RowMAC{} },
	} {
		c := copyCredential(credential)
		if edit(&c); v.CredentialIntact(&c) {
			t.Errorf("credential: changing %s is not found", name)
		}
	}
	renamed := copyCredential(credential)
	renamed.Name, renamed.Owner.Name, renamed.Description = "new", "New", "new"
	if !v.CredentialIntact(&renamed) {
		t.Error("a new name breaks the MAC")
	}

	secret := StoredSecret{ID: "s1", Digest: v.Digest("x"), Pepper: 1, Sealed: []byte("sealed"), ExpiresAt: time.UnixMicro(1e15)}
	v.SealSecret("key_a", &secret)
	if !v.SecretIntact("key_a", &secret) {
		t.Fatal("a sealed secret is not intact")
	}
	if v.SecretIntact("key_b", &secret) {
		t.Error("a secret may be moved to another credential")
	}
	for name, edit := range map[string]func(*StoredSecret){
		"id": func(s *StoredSecret) { s.ID = "s2" }, "digest": func(s *StoredSecret) { s.Digest[0] ^= 1 }, "pepper": func(s *StoredSecret) { s.Pepper++ },
		"sealed": func(s *StoredSecret) { s.Sealed = nil }, "expiry": func(s *StoredSecret) { s.ExpiresAt = time.Time{} },
	} {
		s := secret
		if edit(&s); v.SecretIntact("key_a", &s) {
			t.Errorf("secret: changing %s is not found", name)
		}
	}

	token := Token{ID: "tok_a", Name: "n", Tenant: "acme", Roles: []RoleName{RoleViewer}, Digest: v.Digest("x"), Pepper: 1, ExpiresAt: time.UnixMicro(1e15), Version: 1}
	v.SealToken(&token)
	if !v.TokenIntact(&token) {
		t.Fatal("a sealed token is not intact")
	}
	for name, edit := range map[string]func(*Token){
		"id": func(k *Token) { k.ID = "tok_b" }, "tenant": func(k *Token) { k.Tenant = "" }, "roles": func(k *Token) { k.Roles = []RoleName{RoleOperator} },
		"digest": func(k *Token) { k.Digest[0] ^= 1 }, "expiry": func(k *Token) { k.ExpiresAt = time.Time{} }, "name": func(k *Token) { k.Name = "m" },
		"revoked": func(k *Token) { k.RevokedAt = time.UnixMicro(1) }, "version": func(k *Token) { k.Version++ }, "pepper": func(k *Token) { k.Pepper++ },
	} {
		k := token
		if edit(&k); v.TokenIntact(&k) {
			t.Errorf("token: changing %s is not found", name)
		}
	}
	if foreign := testVault(t); foreign.CredentialIntact(&credential) || foreign.SecretIntact("key_a", &secret) || foreign.TokenIntact(&token) {
		t.Error("a row is intact under another pepper")
	}
}

func TestRowsOfAnOldPepperStayIntact(t *testing.T) {
	old := vaultOf(t, "1:"+samplePepper)
	both := vaultOf(t, "1:"+samplePepper+"\n2:"+base64.StdEncoding.EncodeToString([]byte(strings.Repeat("n", 32))))
	c, s, k, e := Credential{ID: "key_a"}, StoredSecret{ID: "s"}, Token{ID: "tok_a"}, AuditEntry{Chain: "x"}
	old.SealCredential(&c)
	old.SealSecret("key_a", &s)
	old.SealToken(&k)
	old.SealAudit(AuditEntry{}, &e)
	if !both.CredentialIntact(&c) || !both.SecretIntact("key_a", &s) || !both.TokenIntact(&k) || !both.AuditIntact(AuditEntry{}, &e) {
		t.Error("a row under the old pepper is refused while that is still kept")
	}
	both.SealCredential(&c)
	if old.CredentialIntact(&c) {
		t.Error("a new row is not under the new pepper")
	}
}

func TestAuditChainFindsEveryChange(t *testing.T) {
	v := testVault(t)
	var chain []AuditEntry
	var last AuditEntry
	for i := range 5 {
		e := AuditEntry{
			Chain: "acme", Time: time.UnixMicro(int64(i)), Actor: ActorRef{ActorToken, "tok_1", "ci"}, Action: "key.generated",
			Target: "key_a", Detail: map[string]string{"name": "n", "plan": "p"}, Address: "192.0.2.1", Request: "r",
		}
		v.SealAudit(last, &e)
		chain, last = append(chain, e), e
	}
	// broken returns the index of the first entry that is not as it was written, -1 for none.
	broken := func(chain []AuditEntry) int {
		var last AuditEntry
		for i := range chain {
			if !v.AuditIntact(last, &chain[i]) {
				return i
			}
			last = chain[i]
		}
		return -1
	}
	if i := broken(chain); i != -1 {
		t.Fatalf("the untouched chain is broken at %d", i)
	}
	for name, edit := range map[string]func([]AuditEntry) []AuditEntry{
		"action":     func(c []AuditEntry) []AuditEntry { c[2].Action = "key.read"; return c },
		"actor":      func(c []AuditEntry) []AuditEntry { c[2].Actor.ID = "tok_2"; return c },
		"actor name": func(c []AuditEntry) []AuditEntry { c[2].Actor.Name = "x"; return c },
		"target":     func(c []AuditEntry) []AuditEntry { c[2].Target = "key_b"; return c },
		"time":       func(c []AuditEntry) []AuditEntry { c[2].Time = c[2].Time.Add(time.Microsecond); return c },
		"detail":     func(c []AuditEntry) []AuditEntry { c[2].Detail = map[string]string{"name": "n"}; return c },
		"detail moved": func(c []AuditEntry) []AuditEntry {
			c[2].Detail = map[string]string{"name": "np", "plan": ""}
			return c
		},
		"address": func(c []AuditEntry) []AuditEntry { c[2].Address = ""; return c },
		"request": func(c []AuditEntry) []AuditEntry { c[2].Request = "q"; return c },
		"missing": func(c []AuditEntry) []AuditEntry { return append(c[:2], c[3:]...) },
		"swapped": func(c []AuditEntry) []AuditEntry { c[2], c[3] = c[3], c[2]; return c },
		"inserted": func(c []AuditEntry) []AuditEntry {
			return append(append(append([]AuditEntry{}, c[:2]...), c[1]), c[2:]...)
		},
		"other chain": func(c []AuditEntry) []AuditEntry { c[2].Chain = "provider"; return c },
	} {
		if i := broken(edit(append([]AuditEntry(nil), chain...))); i != 2 {
			t.Errorf("%s: first broken entry %d, want 2", name, i)
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	v := testVault(b)
	text := "pst_live_" + strings.Repeat("x", 62)
	b.ReportAllocs()
	for b.Loop() {
		v.Digest(text)
	}
}

func BenchmarkCredentialIntact(b *testing.B) {
	v := testVault(b)
	c := Credential{ID: "key_abcdefghijkl", Kind: APIKey, Tenant: "default", Owner: Owner{Type: OwnerTenant, ID: "default"}, Status: Active, Plan: "standard", APIs: []APIName{"orders"}, Version: 1}
	v.SealCredential(&c)
	b.ReportAllocs()
	for b.Loop() {
		if !v.CredentialIntact(&c) {
			b.Fatal("not intact")
		}
	}
}
