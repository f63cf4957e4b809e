package keyfile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// groups is what the groups of the tests are worth.
func groups() Options {
	return Options{Groups: map[string][]Grant{
		"gold": {{API: "orders"}, {Scope: "bills.read"}}, "silver": {{API: "orders"}}, "none": nil,
	}}
}

func TestReadKong(t *testing.T) {
	const dump = `# as decK writes it
_format_version: "3.0"
_info:
  select_tags:
  - x
  defaults: {}
consumers:
- acls:
  - group: gold
    tags: ~
  - group: silver
  custom_id: crm-1
  id: 59d1ef15-24a5-4373-b957-e8192c15ff6e
  keyauth_credentials:
  - created_at: 1701432000
    id: 6b9443ae
    key: SECRET
    tags:
    - eu
    ttl: 3600
  - key: "00012345678901234567"
  tags:
  - a
  username: alice
- username: bob   # nobody yet
- acls:
  - group: none
  basicauth_credentials:
  - password: secret
    username: carol
  keyauth_credentials:
  - key: 1234567890123456789012
  custom_id: carol@example.com
plugins:
- name: key-auth
  config:
    key_names: [apikey]
services:
- name: orders
`
	want := []string{
		`15 {"name":"alice (1)","text":"` + secret + `","apis":["orders"],"scopes":["bills.read"],"created_at":"2023-12-01T12:00:00Z","expires_at":"2026-11-21T13:00:00Z",` +
			`"metadata":{"kong_consumer":"alice","kong_key_id":"6b9443ae","kong_tags":"a eu"},"external_id":"crm-1"}`,
		`21 {"name":"alice (2)","text":"00012345678901234567","apis":["orders"],"scopes":["bills.read"],"metadata":{"kong_consumer":"alice","kong_tags":"a"},"external_id":"crm-1"}`,
		`32 {"name":"carol@example.com","text":"1234567890123456789012","external_id":"carol@example.com"}`,
	}
	warnings := []string{`28: "basicauth_credentials" is not imported (it stands there 1 time)`, `34: "plugins" is not imported (it stands there 1 time)`,
		`38: "services" is not imported (it stands there 1 time)`}
	text := strings.Replace(dump, "SECRET", secret, 1)
	check(t, Kong, text, groups(), want, nil, warnings)
	check(t, Kong, "\ufeff---\n"+strings.ReplaceAll(text, "\n", "\r\n"), groups(), shift(want, 1), nil, shift2(warnings, 1))
}

// shift moves lines down.
func shift(list []string, by int) []string { return shiftAt(list, by, " ") }

func shift2(list []string, by int) []string { return shiftAt(list, by, ":") }

func shiftAt(list []string, by int, end string) []string {
	out := slices.Clone(list)
	for i, s := range out {
		number, rest, _ := strings.Cut(s, end)
		var line int
		if _, err := fmt.Sscan(number, &line); err != nil {
			panic(err)
		}
		out[i] = fmt.Sprint(line+by) + end + rest
	}
	return out
}

// TestReadKongIndented is what people write by hand, with the list indented and comments inside.
func TestReadKongIndented(t *testing.T) {
	check(t, Kong, "consumers:\n\n  # ours\n  - username: \"alice\"\n    keyauth_credentials:\n      - key: '"+secret+"'\n  -\n    username: bob\n    # hers\n    keyauth_credentials: [{ key: "+secret[1:]+" }]\n",
		groups(), []string{
			`6 {"name":"alice","text":"` + secret + `","metadata":{"kong_consumer":"alice"}}`,
			`10 {"name":"bob","text":"` + secret[1:] + `","metadata":{"kong_consumer":"bob"}}`,
		}, nil, nil)
}

// TestReadKongFlat is declarative configuration whose keys and groups stand beside the consumers.
func TestReadKongFlat(t *testing.T) {
	check(t, Kong, `_format_version: "1.1"
acls:
- consumer: alice
  group: gold
keyauth_credentials:
- consumer: 59d1ef15
  key: `+secret+`
  ttl: ~
- consumer: { id: 59d1ef15 }
  key: `+secret[1:]+`
consumers:
- username: alice
  id: 59d1ef15
`, groups(), []string{
		`6 {"name":"alice (1)","text":"` + secret + `","apis":["orders"],"scopes":["bills.read"],"metadata":{"kong_consumer":"alice"}}`,
		`9 {"name":"alice (2)","text":"` + secret[1:] + `","apis":["orders"],"scopes":["bills.read"],"metadata":{"kong_consumer":"alice"}}`,
	}, nil, nil)
}

func TestReadKongJSON(t *testing.T) {
	check(t, Kong, `{"_format_version":"3.0","_info":{"defaults":{}},"services":[{"name":"a"},{"name":"b"}],
"consumers":[{"username":"alice","keyauth_credentials":[{"key":"`+secret+`","ttl":60}],"acls":[{"group":"silver"}]}]}`, groups(),
		[]string{`2 {"name":"alice","text":"` + secret + `","apis":["orders"],"expires_at":"2026-11-21T12:01:00Z","metadata":{"kong_consumer":"alice"}}`}, nil,
		[]string{`1: "services" is not imported (it stands there 2 times)`})
}

func TestReadKongProblems(t *testing.T) {
	key := "  keyauth_credentials: [{key: " + secret + "}]\n"
	got := `2 {"name":"a","text":"` + secret + `","metadata":{"kong_consumer":"a"}}`
	for _, c := range []struct {
		name, text string
		keys       []string
		problems   []string
	}{
		{"unknown group", "consumers:\n- username: a\n" + key + "  acls: [{group: gild}, {group: gild}]\n", []string{strings.Replace(got, "2", "3", 1)}, []string{
			`4: the ACL group "gild" stands for nothing here (2 consumers): add --map-group gild=API, or --map-group gild= to leave it out`}},
		{"group without a name", "consumers:\n- acls: [{tags: [x]}]\n", nil, []string{"2: the ACL entry names no group"}},
		{"no key", "consumers:\n- username: a\n  keyauth_credentials:\n  - tags: [x]\n", nil, []string{"4: the key itself is missing"}},
		{"reference", "consumers:\n- username: a\n  keyauth_credentials:\n  - key: \"{vault://env/key}\"\n  - key: ${{ env \"DECK_KEY\" }}\n",
			[]string{`4 {"name":"a (1)","text":"{vault://env/key}","metadata":{"kong_consumer":"a"}}`, `5 {"name":"a (2)","text":"${{ env \"DECK_KEY\" }}","metadata":{"kong_consumer":"a"}}`},
			[]string{"4: the file holds a reference to the key and not the key; dump it with the reference resolved",
				"5: the file holds a reference to the key and not the key; dump it with the reference resolved"}},
		{"nameless", "consumers:\n- keyauth_credentials: [{key: " + secret + "}]\n", []string{`2 {"name":"","text":"` + secret + `"}`},
			[]string{"2: the consumer has neither username nor custom_id"}},
		{"ttl", "consumers:\n- username: a\n  keyauth_credentials: [{key: " + secret + ", ttl: soon}]\n", []string{strings.Replace(got, "2", "3", 1)}, []string{"3: ttl must be a number of seconds"}},
		{"shapes", "consumers:\n- alice\n- username: [a]\n  keyauth_credentials: x\n  acls: [y]\n  tags: z\n", nil, []string{
			"2: a consumer must be an object", "3: username must be a text", "4: keyauth_credentials must be a list", "5: acls must be a list of objects", "6: tags must be a list of texts"}},
		{"consumers as a map", "consumers:\n  alice: {}\n", nil, []string{"2: consumers must be a list"}},
		{"consumers as a word", "consumers: none\n", nil, []string{"1: consumers must be a list"}},
		{"consumers in one line", "consumers: [{username: a}]\n", nil, []string{"1: consumers must be written one element to a line, each after a dash"}},
		{"flat, of nobody", "keyauth_credentials:\n- key: " + secret + "\n- consumer: ghost\n  key: " + secret + "\n- x\n", nil, []string{
			"2: it belongs to no consumer", `3: there is no consumer "ghost" in the file`, "5: keyauth_credentials must be a list of objects"}},
		{"anchor", "consumers:\n- username: &a alice\n  custom_id: *a\n", nil, []string{"2: anchors, aliases and tags of YAML are not supported; write the value out",
			"3: anchors, aliases and tags of YAML are not supported; write the value out"}},
		{"tag", "consumers:\n- username: !!binary YQ==\n", nil, []string{"2: anchors, aliases and tags of YAML are not supported; write the value out"}},
		{"merge key", "consumers:\n- <<: {username: a}\n", nil, []string{"2: a name must be plain text"}},
		{"broken element, the next is read", "consumers:\n- username: [a\n- username: a\n" + key, []string{strings.Replace(got, "2", "4", 1)}, []string{"2: cannot be read as YAML"}},
		{"same name twice", "consumers:\n- username: a\n  username: b\n", nil, []string{"3: cannot be read as YAML"}},
		{"section twice", "consumers: []\nconsumers: []\n", nil, []string{`2: "consumers" is written twice`}},
		{"second document", "consumers: []\n---\nconsumers: []\n", nil, []string{"2: a second document begins here; keep one in each file"}},
		{"directive", "%YAML 1.2\n---\n", nil, []string{"1: document ends and directives of YAML are not supported; remove the line"}},
		{"no dump", "- a\n", nil, []string{"1: is not what decK dumps: names such as consumers are expected at the top"}},
		{"prose", "Dear reader\n", nil, []string{"1: cannot be read: a name and a colon are expected, as in consumers:"}},
		{"dedent", "consumers:\n  - username: a\n - username: b\n", nil, []string{"3: is indented less than the list that it stands in"}},
		{"deep", "consumers:\n- username: " + strings.Repeat("[", 5000) + "\n", nil, []string{"2: is nested deeper than 32 levels"}},
		{"dashes", "consumers:\n- " + strings.Repeat("- ", 5000) + "\n", nil, []string{"2: is nested deeper than 32 levels"}},
		{"endless", "consumers:\n- username: " + strings.Repeat("a", maxElement) + "\n", nil, []string{"2: has more than 1024 KiB"}},
	} {
		t.Run(c.name, func(t *testing.T) { check(t, Kong, c.text, groups(), c.keys, c.problems, nil) })
	}
	check(t, Kong, "_format_version: \"9\"\nconsumers:\n- username: a\n"+key, groups(), []string{strings.Replace(got, "2", "4", 1)}, nil,
		[]string{`1: the format is "9"; known are 1.1, 2.1 and 3.0`})
}

// TestReadKongBomb reads what would unfold into gigabytes as the mistake that it is.
func TestReadKongBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("consumers:\n- a: &a0 [x,x,x,x,x,x,x,x,x]\n")
	for i := range 30 {
		fmt.Fprintf(&b, "  a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i+1, i+1, i, i, i, i, i, i, i, i, i)
	}
	if file := Read(Kong, []byte(b.String()), groups()); len(file.Problems) == 0 || len(file.Keys) != 0 {
		t.Errorf("got %+v", file)
	}
}

// TestReadManyKeys reads as many keys as somebody may bring.
func TestReadManyKeys(t *testing.T) {
	const n = 20_000
	var b strings.Builder
	b.WriteString("consumers:\n")
	for i := range n {
		fmt.Fprintf(&b, "- acls:\n  - group: gold\n  keyauth_credentials:\n  - key: %s%d\n  username: customer-%d\n", secret, i, i)
	}
	file := Read(Kong, []byte(b.String()), groups())
	if len(file.Keys) != n || len(file.Problems) != 0 || file.Keys[n-1].Line != 5*n {
		t.Errorf("got %d keys, problems %v, the last in line %d", len(file.Keys), file.Problems, file.Keys[len(file.Keys)-1].Line)
	}
}

// sound checks what holds of every file.
func sound(t *testing.T, f Format, text string) {
	t.Helper()
	lines := strings.Count(text, "\n") + 1
	file := Read(f, []byte(text), groups())
	if len(file.Keys) == 0 && len(file.Problems) == 0 {
		t.Errorf("%s: neither keys nor problems", f)
	}
	for _, k := range file.Keys {
		if k.Line < 1 || k.Line > lines {
			t.Errorf("%s: a key in line %d of %d", f, k.Line, lines)
		}
		if k.Text == "" && k.Hash == "" {
			t.Errorf("%s: a key without a secret", f)
		}
	}
	for _, p := range slices.Concat(file.Problems, file.Warnings) {
		if p.Line < 0 || p.Line > lines || p.Text == "" {
			t.Errorf("%s: problem %+v in a file of %d lines", f, p, lines)
		}
	}
}

func FuzzKong(f *testing.F) {
	f.Add("_format_version: \"3.0\"\nconsumers:\n- username: a\n  acls:\n  - group: gold\n  keyauth_credentials:\n  - key: b\n    ttl: 1\n")
	f.Add("acls:\n- consumer: a\n  group: none\nconsumers:\n  - username: a\nkeyauth_credentials:\n- consumer: a\n  key: |\n    b\n")
	f.Add("consumers:\n- &a {username: b}\n- *a\n- {<<: *a}\n")
	f.Add("consumers: # none\n-\n- - a\n-\t?\n")
	f.Add("consumers:\n- a:\r\r  *b")
	f.Fuzz(func(t *testing.T, text string) { sound(t, Kong, text) })
}
