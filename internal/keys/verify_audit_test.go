package keys

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// audited is a house whose default tenant's chain has six entries.
func audited(t *testing.T) *house {
	h := foreign(t)
	var list []ImportKey
	for i := range 6 {
		list = append(list, ImportKey{Name: fmt.Sprint(i), Text: NewSecret(oldText(i))})
	}
	h.importAll(list...)
	return h
}

// tamper changes the default tenant's chain behind our back.
func (h *house) tamper(change func(list []AuditEntry) []AuditEntry) {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	h.store.audit["default"] = change(slices.Clone(h.store.audit["default"]))
}

func (h *house) verify(expect *AuditHead) AuditVerdict {
	h.t.Helper()
	v, err := h.registry.VerifyAudit(h.t.Context(), operator(), "default", expect)
	if err != nil {
		h.t.Fatal(err)
	}
	return v
}

func TestVerifyAuditNamesTheFirstBadEntry(t *testing.T) {
	for _, c := range []struct {
		name    string
		seq     int64
		problem AuditProblem
		change  func(list []AuditEntry) []AuditEntry
	}{
		{"actor", 3, AuditAltered, func(l []AuditEntry) []AuditEntry { l[2].Actor.Name = "somebody"; return l }},
		{"detail", 1, AuditAltered, func(l []AuditEntry) []AuditEntry { l[0].Detail = map[string]string{"name": "x"}; return l }},
		{"no detail", 1, AuditAltered, func(l []AuditEntry) []AuditEntry { l[0].Detail = nil; return l }},
		{"time", 6, AuditAltered, func(l []AuditEntry) []AuditEntry { l[5].Time = l[5].Time.Add(1000); return l }},
		{"address", 2, AuditAltered, func(l []AuditEntry) []AuditEntry { l[1].Address = "192.0.2.1"; return l }},
		{"mac", 4, AuditAltered, func(l []AuditEntry) []AuditEntry { l[3].MAC[0] ^= 1; return l }},
		{"prev", 4, AuditAltered, func(l []AuditEntry) []AuditEntry { l[3].Prev[0] ^= 1; return l }},
		{"deleted in the middle", 3, AuditMissing, func(l []AuditEntry) []AuditEntry { return slices.Delete(l, 2, 3) }},
		{"deleted at the start", 1, AuditMissing, func(l []AuditEntry) []AuditEntry { return l[2:] }},
		{"deleted, the rest moved up", 3, AuditReordered, func(l []AuditEntry) []AuditEntry {
			l = slices.Delete(l, 2, 3)
			for i := range l {
				l[i].Seq = int64(i) + 1
			}
			return l
		}},
		{"swapped", 2, AuditReordered, func(l []AuditEntry) []AuditEntry {
			l[1], l[4] = l[4], l[1]
			l[1].Seq, l[4].Seq = 2, 5
			return l
		}},
		{"copied over", 5, AuditReordered, func(l []AuditEntry) []AuditEntry { l[4] = l[0]; l[4].Seq = 5; return l }},
		{"of another chain", 2, AuditAltered, func(l []AuditEntry) []AuditEntry { l[1].Chain = "acme"; return l }},
		{"cut off", 6, AuditCutOff, func(l []AuditEntry) []AuditEntry { return l[:5] }},
		{"mostly cut off", 2, AuditCutOff, func(l []AuditEntry) []AuditEntry { return l[:1] }},
		{"gone", 1, AuditCutOff, func(l []AuditEntry) []AuditEntry { return nil }},
		{"altered and cut off", 2, AuditAltered, func(l []AuditEntry) []AuditEntry { l[1].Target = "x"; return l[:3] }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := audited(t)
			if v := h.verify(nil); v.Fault != nil || v.Head.Count != 6 {
				t.Fatalf("before: got %+v", v)
			}
			h.tamper(c.change)
			v := h.verify(nil)
			if v.Fault == nil || v.Fault.Seq != c.seq || v.Fault.Problem != c.problem {
				t.Errorf("got %+v, want entry %d %s", v.Fault, c.seq, c.problem)
			}
			if v.Head.Count != c.seq-1 {
				t.Errorf("good entries: got %d, want %d", v.Head.Count, c.seq-1)
			}
		})
	}
}

// TestAuditHeadCannotBeMadeWithoutThePepper cuts the end off and tries to hide it.
func TestAuditHeadCannotBeMadeWithoutThePepper(t *testing.T) {
	for name, forge := range map[string]func(head []byte, last AuditEntry) []byte{
		"no head":         func([]byte, AuditEntry) []byte { return nil },
		"empty head":      func([]byte, AuditEntry) []byte { return []byte{} },
		"zeros":           func(head []byte, _ AuditEntry) []byte { return make([]byte, len(head)) },
		"the entry's MAC": func(head []byte, last AuditEntry) []byte { return AuditHead{Count: last.Seq, Hash: last.MAC}.encode() },
		"the count alone": func(head []byte, last AuditEntry) []byte {
			return AuditHead{Count: last.Seq, Hash: RowMAC(head[8:])}.encode()
		},
		"a negative count": func(head []byte, last AuditEntry) []byte {
			return AuditHead{Count: -1, Hash: RowMAC(head[8:])}.encode()
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := audited(t)
			h.tamper(func(l []AuditEntry) []AuditEntry { return l[:4] })
			h.store.mu.Lock()
			at := auditHeadName("default")
			if head := forge(h.store.meta[at], h.store.audit["default"][3]); head == nil {
				delete(h.store.meta, at)
			} else {
				h.store.meta[at] = head
			}
			h.store.mu.Unlock()
			if v := h.verify(nil); v.Fault == nil || v.Fault.Problem != AuditCutOff && v.Fault.Problem != AuditAltered {
				t.Errorf("got %+v", v)
			}
		})
	}
}

// TestExpectedHead finds that a whole older database was put back.
func TestExpectedHead(t *testing.T) {
	h := audited(t)
	h.store.mu.Lock()
	old, oldHead := slices.Clone(h.store.audit["default"]), h.store.meta[auditHeadName("default")]
	h.store.mu.Unlock()
	h.importAll(ImportKey{Name: "later", Text: NewSecret(oldText(100))})
	known := h.verify(nil).Head
	if known.Count != 7 {
		t.Fatalf("got %+v", known)
	}
	h.importAll(ImportKey{Name: "latest", Text: NewSecret(oldText(101))})
	if v := h.verify(&known); v.Fault != nil || v.Head.Count != 8 {
		t.Errorf("with the head: got %+v", v)
	}
	h.tamper(func([]AuditEntry) []AuditEntry { return old })
	h.store.mu.Lock()
	h.store.meta[auditHeadName("default")] = oldHead
	h.store.mu.Unlock()
	if v := h.verify(nil); v.Fault != nil {
		t.Errorf("put back: got %+v", v.Fault)
	}
	if v := h.verify(&known); v.Fault == nil || *v.Fault != (AuditFault{7, AuditCutOff}) {
		t.Errorf("put back, with the head: got %+v", v.Fault)
	}
	wrong := known
	wrong.Count = 3
	if v := h.verify(&wrong); v.Fault == nil || *v.Fault != (AuditFault{3, AuditAltered}) {
		t.Errorf("with another head: got %+v", v.Fault)
	}
	parsed, err := ParseAuditHead(known.String())
	if err != nil || parsed.Count != known.Count || parsed.Hash != known.Hash {
		t.Errorf("parsed: got %+v, %v", parsed, err)
	}
	for _, text := range []string{"", "7", "7:", "0:" + strings.Repeat("a", 64), "-1:" + strings.Repeat("a", 64), "7:" + strings.Repeat("a", 62), "x:y"} {
		if _, err := ParseAuditHead(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
	_, err = h.registry.VerifyAudit(t.Context(), operator(), "default", &AuditHead{Chain: "acme", Count: 1})
	refused(t, err, ValidationFailed)
}

func TestVerifyAuditUnderANewPepper(t *testing.T) {
	h := audited(t)
	newer, err := newPepper(2, []byte(strings.Repeat("p", pepperLen)))
	if err != nil {
		t.Fatal(err)
	}
	h.vault.peppers = append([]*pepper{newer}, h.vault.peppers...)
	if err := h.registry.change(t.Context(), "rotate", h.registry.recordPepper); err != nil { // as a start does
		t.Fatal(err)
	}
	if v := h.verify(nil); v.Fault != nil || v.Head.Count != 7 {
		t.Errorf("before an entry: got %+v", v)
	}
	h.importAll(ImportKey{Name: "later", Text: NewSecret(oldText(100))})
	if v := h.verify(nil); v.Fault != nil || v.Head.Count != 8 {
		t.Errorf("after one: got %+v", v)
	}
	h.vault.peppers = h.vault.peppers[:1]
	if v := h.verify(nil); v.Fault == nil || *v.Fault != (AuditFault{1, AuditAltered}) {
		t.Errorf("without the old one: got %+v", v.Fault)
	}
}

func TestVerifyAuditOfNothing(t *testing.T) {
	h := audited(t)
	h.tenant("nobody", nil)
	v, err := h.registry.VerifyAudit(t.Context(), operator(), "nobody", nil)
	if err != nil || v.Fault != nil || v.Head.Count != 0 || v.Head.Chain != "nobody" {
		t.Errorf("got %+v, %v", v, err)
	}
}

// TestAuditReaders: a tenant's people read their own chain, the provider's every one.
func TestAuditReaders(t *testing.T) {
	h := audited(t)
	h.tenant("acme", nil)
	h.importAll(ImportKey{Name: "theirs", Text: NewSecret(oldText(50)), Tenant: "acme"})
	auditor := member("acme", RoleAuditor)
	chains := func(page AuditPage) map[string]int {
		count := map[string]int{}
		for _, e := range page.Items {
			count[e.Chain]++
		}
		return count
	}
	page, err := h.registry.ListAudit(t.Context(), auditor, AuditFilter{})
	if err != nil || !cmp.Equal(chains(page), map[string]int{"acme": 1}) {
		t.Errorf("own: got %v, %v", chains(page), err)
	}
	for _, other := range []string{"default", ProviderChain, "nobody"} {
		_, err = h.registry.ListAudit(t.Context(), auditor, AuditFilter{Chain: other})
		refused(t, err, PermissionDenied)
		_, err = h.registry.VerifyAudit(t.Context(), auditor, other, nil)
		refused(t, err, PermissionDenied)
		_, err = h.registry.ExportAudit(t.Context(), auditor, other, "jsonl")
		refused(t, err, PermissionDenied)
	}
	for _, unknown := range []string{"defualt", "Acme"} {
		_, err = h.registry.VerifyAudit(t.Context(), operator(), unknown, nil)
		refused(t, err, NotFoundHere)
		_, err = h.registry.ExportAudit(t.Context(), operator(), unknown, "jsonl")
		refused(t, err, NotFoundHere)
	}
	page, err = h.registry.ListAudit(t.Context(), operator(), AuditFilter{})
	if err != nil || !cmp.Equal(chains(page), map[string]int{"acme": 1, "default": 6, ProviderChain: 1}) {
		t.Errorf("all: got %v, %v", chains(page), err)
	}
	page, err = h.registry.ListAudit(t.Context(), operator(), AuditFilter{Chain: ProviderChain})
	if err != nil || len(page.Items) != 1 {
		t.Errorf("provider's: got %v, %v", page.Items, err)
	}
	heads, err := h.registry.AuditChains(t.Context(), operator())
	if err != nil || len(heads) != 3 {
		t.Errorf("chains: got %v, %v", heads, err)
	}
	heads, err = h.registry.AuditChains(t.Context(), auditor)
	if err != nil || len(heads) != 1 || heads[0].Chain != "acme" || heads[0].Count != 1 {
		t.Errorf("own chains: got %v, %v", heads, err)
	}
	for _, role := range []RoleName{RoleViewer, RoleDeveloper} {
		_, err := h.registry.ListAudit(t.Context(), member("acme", role), AuditFilter{})
		refused(t, err, PermissionDenied)
		_, err = h.registry.AuditChains(t.Context(), member("acme", role))
		refused(t, err, PermissionDenied)
	}
	_, err = h.registry.ExportAudit(t.Context(), member("", RoleSupport), "", "jsonl")
	refused(t, err, PermissionDenied)
	_, err = h.registry.ListAudit(t.Context(), auditor, AuditFilter{Limit: 1001})
	refused(t, err, ValidationFailed)
	_, err = h.registry.ListAudit(t.Context(), auditor, AuditFilter{From: h.clock.Now(), To: h.clock.Now()})
	refused(t, err, ValidationFailed)
}

// export writes a chain as the admin API does.
func (h *house) export(chain string) []byte {
	h.t.Helper()
	x, err := h.registry.ExportAudit(h.t.Context(), operator(), chain, "jsonl")
	if err != nil {
		h.t.Fatal(err)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	if err := x.Each(h.t.Context(), func(e *AuditEntry) error { return enc.Encode(MakeAuditLine(e)) }); err != nil {
		h.t.Fatal(err)
	}
	if err := enc.Encode(map[string]any{"head": MakeAuditLineHead(x.Head)}); err != nil {
		h.t.Fatal(err)
	}
	return b.Bytes()
}

func TestVerifyExport(t *testing.T) {
	h := audited(t)
	whole := h.export("default")
	lines := bytes.SplitAfter(whole, []byte("\n"))
	lines = lines[:len(lines)-1]
	if len(lines) != 8 {
		t.Fatalf("got %d lines", len(lines))
	}
	var line map[string]any
	if err := json.Unmarshal(lines[6], &line); err != nil || line["action"] != "audit.exported" || line["target"] != "default" {
		t.Errorf("the export's own entry: got %v, %v", line, err)
	}
	later := h.export("default") // one entry longer
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	replace := func(n int, old, new string) []byte {
		changed := slices.Clone(lines)
		changed[n] = []byte(strings.Replace(string(lines[n]), old, new, 1))
		if bytes.Equal(changed[n], lines[n]) {
			t.Fatalf("line %d has no %s", n, old)
		}
		return join(changed...)
	}
	for _, c := range []struct {
		name    string
		file    []byte
		seq     int64 // 0: as it was written
		problem AuditProblem
	}{
		{"whole", whole, 0, ""},
		{"later", later, 0, ""},
		{"altered", replace(2, `"name":"2"`, `"name":"3"`), 3, AuditAltered},
		{"swapped", join(lines[0], lines[2], lines[1], join(lines[3:]...)), 2, AuditMissing},
		{"twice", join(lines[0], lines[0], join(lines[1:]...)), 2, AuditReordered},
		{"missing", join(lines[0], join(lines[2:]...)), 2, AuditMissing},
		{"cut off with the head", join(lines[:5]...), 6, AuditCutOff},
		{"cut off before the head", join(lines[0], lines[1], lines[7]), 3, AuditCutOff},
		{"head of fewer", replace(7, `"count":7`, `"count":6`), 7, AuditAltered},
		{"cut off, head rewritten", join(lines[0], lines[1], []byte(strings.Replace(string(lines[7]), `"count":7`, `"count":2`, 1))), 2, AuditAltered},
		{"head alone", lines[7], 1, AuditCutOff},
		{"head of another chain", replace(7, `"chain":"default"`, `"chain":"acme"`), 7, AuditAltered},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := VerifyExport(h.vault, bytes.NewReader(c.file))
			if err != nil {
				t.Fatal(err)
			}
			if c.seq == 0 {
				if v.Fault != nil || v.Head.Chain != "default" || v.Head.Count < 7 {
					t.Errorf("got %+v %+v", v.Fault, v.Head)
				}
				return
			}
			if v.Fault == nil || v.Fault.Seq != c.seq || v.Fault.Problem != c.problem {
				t.Errorf("got %+v, want entry %d %s", v.Fault, c.seq, c.problem)
			}
		})
	}
	for name, file := range map[string]string{
		"empty": "", "no JSON": "hello\n", "another object": `{"a":1}` + "\n", "two in a line": "{}{}\n", "short MAC": strings.Replace(string(lines[0]), `"mac":"`, `"mac":"00`, 1),
		"after the head": string(whole) + string(lines[0]), "endless line": strings.Repeat(" ", longestAuditLine+1),
	} {
		if v, err := VerifyExport(h.vault, strings.NewReader(file)); err == nil {
			t.Errorf("%s: got %+v", name, v)
		}
	}
	if v, err := VerifyExport(testVault(t), bytes.NewReader(whole)); err != nil || v.Fault == nil || *v.Fault != (AuditFault{1, AuditAltered}) {
		t.Errorf("with another pepper: got %+v, %v", v.Fault, err)
	}
}

// TestExportEndsWhereItBegan: what is written meanwhile is not in it.
func TestExportEndsWhereItBegan(t *testing.T) {
	h := audited(t)
	x, err := h.registry.ExportAudit(t.Context(), operator(), "default", "csv")
	if err != nil || x.Head.Count != 7 {
		t.Fatalf("got %+v, %v", x, err)
	}
	h.importAll(ImportKey{Name: "later", Text: NewSecret(oldText(100))})
	n := int64(0)
	if err := x.Each(t.Context(), func(e *AuditEntry) error { n = e.Seq; return nil }); err != nil || n != 7 {
		t.Errorf("got %d entries, %v", n, err)
	}
	h.tamper(func([]AuditEntry) []AuditEntry { return nil })
	if err := x.Each(t.Context(), func(*AuditEntry) error { t.Error("an entry of an empty chain"); return nil }); err != nil {
		t.Error(err)
	}
}

// TestExportBeginsNoChain: the note of an export stands in the chain, which must be somebody's.
func TestExportBeginsNoChain(t *testing.T) {
	h := audited(t)
	before, err := h.registry.AuditChains(t.Context(), operator())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"nobody", "../..", "Default", "x\x1b[2J", "provider "} {
		_, err := h.registry.ExportAudit(t.Context(), operator(), name, "jsonl")
		if r := (*Refusal)(nil); !errors.As(err, &r) || r.Code != NotFoundHere {
			t.Errorf("%q: got %v, want %s", name, err, NotFoundHere)
		}
	}
	after, err := h.registry.AuditChains(t.Context(), operator())
	if err != nil || len(after) != len(before) {
		t.Errorf("the chains are now %+v, %v", after, err)
	}
	if _, err := h.registry.ExportAudit(t.Context(), operator(), ProviderChain, "jsonl"); err != nil {
		t.Error(err)
	}
}

func FuzzVerifyExport(f *testing.F) {
	v := testVault(f)
	last := AuditEntry{Chain: "default"}
	e := AuditEntry{Chain: "default", Action: "key.generated", Target: "key_1"}
	v.SealAudit(last, &e)
	line, err := json.Marshal(MakeAuditLine(&e))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add([]byte(`{"head":{"chain":"default","count":1,"hash":"00"}}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		verdict, err := VerifyExport(v, bytes.NewReader(file))
		if err == nil && verdict.Fault == nil && verdict.Head.Count > 1 {
			t.Errorf("a chain of %d entries was made up", verdict.Head.Count)
		}
	})
}
