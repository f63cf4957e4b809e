package keyfile

import (
	"strings"
	"testing"
)

func TestReadJSON(t *testing.T) {
	check(t, JSON, "\ufeff{\n  \"keys\": [\n    {\"name\": \"a\", \"text\": \""+secret+"\", \"apis\": [\"orders\"], \"scopes\": [], \"metadata\": {\"team\": \"blue\"},\n"+
		"     \"owner\": {\"type\": \"user\", \"id\": \"usr_1\"}, \"created_at\": \"2024-03-01\", \"expires_at\": null, \"status\": \"suspended\"},\n"+
		"    {\"name\": \"b\", \"hash\": \"sha256:00\", \"tenant\": \"acme\", \"plan\": \"p\", \"external_id\": \"x\", \"description\": \"d\", \"status\": \"active\", \"owner\": \"tenant\"}\n  ],\n  \"dry_run\": false}\n",
		Options{}, []string{
			`3 {"name":"a","text":"` + secret + `","owner":{"type":"user","id":"usr_1"},"apis":["orders"],"status":"suspended","created_at":"2024-03-01T00:00:00Z","metadata":{"team":"blue"}}`,
			`5 {"name":"b","description":"d","hash":"sha256:00","tenant":"acme","owner":{"type":"tenant"},"plan":"p","external_id":"x"}`,
		}, nil, []string{"7: dry_run in the file is not heeded; use --dry-run"})
	check(t, JSON, `[{"name":"a","key":"`+secret+`","expires_at":"never"}]`, Options{}, []string{`1 {"name":"a","text":"` + secret + `"}`}, nil, nil)
}

func TestReadJSONProblems(t *testing.T) {
	good := `1 {"name":"g","text":"` + secret + `"}`
	for _, c := range []struct {
		name, text string
		keys       []string
		problems   []string
	}{
		{"half", `{"keys": [`, nil, []string{"1: the JSON ends too early"}},
		{"comment", "[\n// no\n]", nil, []string{"2: is not JSON: invalid character '/' looking for beginning of value"}},
		{"more than one", `[] []`, nil, []string{"1: something follows the end of the JSON"}},
		{"a text", `"` + secret + `"`, nil, []string{"1: the file must hold an object or a list"}},
		{"other list", "{\"items\":[{},\n{}],\"nothing\":[]}", nil, []string{
			`1: unknown field "items"; the file holds a list of keys, or an object whose field keys is one`,
			`2: unknown field "nothing"; the file holds a list of keys, or an object whose field keys is one`}},
		{"no object", `["` + secret + `",{"name":"g","text":"` + secret + `"}]`, []string{good}, []string{"1: a key must be an object"}},
		{"everything wrong", "[{\"name\":[],\n\"text\":\"" + secret + "\",\n\"hash\":\"sha256:1\",\n\"apis\":{},\n\"scopes\":[1,[]],\n\"metadata\":[],\n\"owner\":7.5,\n\"status\":\"off\",\n\"created_at\":\"x\",\n\"txt\":1}]",
			[]string{`1 {"name":"","text":"` + secret + `","hash":"sha256:1","owner":{"type":"user","id":"7.5"},"scopes":["1"]}`}, []string{
				"1: name must be a text", "1: text and hash are both given; keep one", "4: apis must be a list of texts", "5: scopes[1] must be a text",
				"6: metadata must be an object of texts", `8: status is "off"; it must be active or suspended`,
				`9: created_at: "x" is no time; write for example 2024-03-01T09:30:00Z, 2024-03-01 or seconds since 1970`,
				`10: unknown field "txt"; did you mean text?`}},
		{"written twice", `[{"name":"g","name":"h","text":"` + secret + `"}]`, []string{`1 {"name":"h","text":"` + secret + `"}`}, []string{`1: "name" is written twice`}},
		{"unknown part of an owner", `[{"name":"g","text":"` + secret + `","owner":{"uid":"x"}}]`, []string{`1 {"name":"g","text":"` + secret + `","owner":{"type":""}}`},
			[]string{"1: unknown field owner.uid"}},
		{"no secret", `[{"name":"g"}]`, nil, []string{"1: the key itself is missing: text, or hash in its place"}},
		{"twins", "[{\"name\":\"g\",\"text\":\"" + secret + "\"},\n{\"name\":\"h\",\"text\":\"" + secret + "\"}]", []string{good}, []string{"2: is the same key as the one in line 1; keep one"}},
		{"deep", "[" + strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100) + "]", nil, []string{"1: is nested deeper than 32 levels"}},
		{"endless", `[{"name":"` + strings.Repeat("a", maxKey) + `","text":"` + secret + `"}]`, nil,
			[]string{"1: the key has 65568 bytes with all that belongs to it; at most 65536 are possible"}},
	} {
		t.Run(c.name, func(t *testing.T) { check(t, JSON, c.text, Options{}, c.keys, c.problems, nil) })
	}
}

func FuzzJSON(f *testing.F) {
	f.Add(`{"keys":[{"name":"a","text":"b","apis":["c"],"metadata":{"d":"e"}}]}`)
	f.Add(`{"items":[{"id":"a","value":"b","enabled":false,"createdDate":1701432000}]}`)
	f.Add(`{"_format_version":"3.0","consumers":[{"username":"a","keyauth_credentials":[{"key":"b"}],"acls":[{"group":"c"}]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, format := range []Format{JSON, AWS, Kong} {
			sound(t, format, text)
		}
	})
}
