package keyfile

import (
	"strings"
	"testing"
)

func TestReadCSV(t *testing.T) {
	want := []string{
		`2 {"name":"a, the \"first\"","text":"` + secret + `","owner":{"type":"user","id":"usr_1"},"plan":"p","apis":["orders","bills"],"scopes":["x.read"],"created_at":"2024-03-01T00:00:00Z","metadata":{"Team":"two\nlines"}}`,
		`4 {"name":"b","hash":"sha256:00","owner":{"type":"tenant"},"status":"suspended"}`,
	}
	text := `Name,KEY,hash,Owner,scopes,apis,plan,created_at,expires_at,metadata.Team,status
"a, the ""first""",` + secret + `,,usr_1,x.read,orders;bills,p,2024-03-01,never,"two
lines",active

b ,,sha256:00,tenant,,,,,,,suspended
,,,,,,,,,,
`
	// The blank line is not there for a reader of CSV, but it counts.
	want[1] = "5" + want[1][1:]
	check(t, CSV, text, Options{}, want, nil, nil)
	check(t, CSV, "\ufeff"+strings.ReplaceAll(text, "\n", "\r\n"), Options{}, want, nil, nil)
}

func TestReadCSVProblems(t *testing.T) {
	for _, c := range []struct {
		name, text string
		keys       []string
		problems   []string
	}{
		{"empty", "", nil, []string{"the file is empty; its first line names the columns"}},
		{"header alone", "name,key\n", nil, []string{"there is no key in it"}},
		{"no header", "a," + strings.ToLower(secret[:12]) + "\n", nil, []string{`1: unknown column "a"`, `1: unknown column "` + strings.ToLower(secret[:12]) + `"`}},
		{"misspelt", "name,ky,nam\n", nil, []string{`1: unknown column "ky"; did you mean key?`, `1: unknown column "nam"; did you mean name?`}},
		{"twice", "name,key,text\n", nil, []string{"1: the column text stands there twice"}},
		{"metadata alone", "name,key,metadata,metadata.\n", nil, []string{
			"1: the column metadata names no fact; write for example metadata.team", "1: the column metadata. names no fact; write for example metadata.team"}},
		{"cells", "name,key\na\nb," + secret + ",c\nd," + secret + "\n", []string{`4 {"name":"d","text":"` + secret + `"}`}, []string{
			"2: has 1 cells, and the header has 2; a cell with a comma or a line break in it stands in quotes",
			"3: has 3 cells, and the header has 2; a cell with a comma or a line break in it stands in quotes"}},
		{"bare quote", "name,key\na\"b," + secret + "\nd," + secret + "\n", []string{`3 {"name":"d","text":"` + secret + `"}`},
			[]string{`2: is not CSV: bare " in non-quoted-field in line 2, column 2`}},
		{"open quote", "name,key\n\"a," + secret + "\n", nil, []string{`2: is not CSV: extraneous or missing " in quoted-field in line 2, column 37`}},
		{"values", "name,key,status,created_at\na,,,\nb," + secret + ",gone,never\n", []string{`3 {"name":"b","text":"` + secret + `"}`}, []string{
			"2: the key itself is missing: text, or hash in its place", `3: status is "gone"; it must be active or suspended`,
			`3: created_at: "never" is no time; write for example 2024-03-01T09:30:00Z, 2024-03-01 or seconds since 1970`}},
		{"a megabyte", "name,key\n" + strings.Repeat("a", 1<<20) + "," + secret + "\n", nil,
			[]string{"2: the key has 1048608 bytes with all that belongs to it; at most 65536 are possible"}},
	} {
		t.Run(c.name, func(t *testing.T) { check(t, CSV, c.text, Options{}, c.keys, c.problems, nil) })
	}
}

// TestCSVKeepsTheKeyAsItIs: a space in a key is a mistake to tell, not to mend.
func TestCSVKeepsTheKeyAsItIs(t *testing.T) {
	check(t, CSV, "name,key\n a , "+secret+"\n", Options{}, []string{`2 {"name":"a","text":" ` + secret + `"}`}, nil, nil)
}

func FuzzCSV(f *testing.F) {
	f.Add("name,key,apis,metadata.a\na,b,c d,e\n\"x\ny\",z,,\n")
	f.Add("Enabled,Name,key,UsageplanIds\r\ntrue,a,b,'c,d'\r\nFALSE,e,f,\"g,h\"\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		sound(t, CSV, text)
		sound(t, AWS, text)
	})
}
