package admin

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"postern/internal/keys"
)

// roleColumns are the columns of the table after the endpoint and its target.
var roleColumns = []string{"nobody", "viewer", "developer", "tenant_admin", "auditor", "support", "operator"}

// permissionRow is one line of testdata/permissions.txt.
type permissionRow struct {
	line         int
	method, path string
	target       string
	cells        map[string][]int // by role: a status for each target
	body         string
}

// targets says how many statuses a cell has.
var targets = map[string]int{"-": 1, "key": 3, "user": 3, "tenant": 2, "token": 2}

func readPermissions(t *testing.T) []permissionRow {
	t.Helper()
	file, err := os.Open("testdata/permissions.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var rows []permissionRow
	scanner := bufio.NewScanner(file)
	for n := 1; scanner.Scan(); n++ {
		text := strings.TrimSpace(scanner.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		text, body, _ := strings.Cut(text, " {\"")
		words := strings.Fields(text)
		if len(words) != 3+len(roleColumns) || targets[words[2]] == 0 {
			t.Fatalf("line %d: got %d columns and target %q; the head of the file says what there is", n, len(words), words[min(2, len(words)-1)])
		}
		row := permissionRow{line: n, method: words[0], path: words[1], target: words[2], cells: map[string][]int{}}
		if body != "" {
			row.body = `{"` + body
		}
		for i, role := range roleColumns {
			for _, word := range strings.Split(words[3+i], "/") {
				status, err := strconv.Atoi(word)
				if err != nil {
					t.Fatalf("line %d: %s: %q is no status", n, role, word)
				}
				row.cells[role] = append(row.cells[role], status)
			}
			if len(row.cells[role]) != targets[row.target] {
				t.Fatalf("line %d: %s: target %s takes %d statuses", n, role, row.target, targets[row.target])
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// TestPermissions is the matrix of roles, endpoints and targets: complete, because its rows are compared
// with the served document, and exact, because every cell is called over HTTP, each by a person of his
// own on things of its own, with the real domain and database behind it.
func TestPermissions(t *testing.T) {
	rows := readPermissions(t)
	w := newTown(t)
	var doc openAPI
	if err := json.Unmarshal(w.do("GET", "/openapi.json", "").body, &doc); err != nil {
		t.Fatal(err)
	}
	open := map[string]bool{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			open[strings.ToUpper(method)+" "+path] = len(op.Security) == 0
		}
	}
	seen := map[string]bool{}
	for _, row := range rows {
		name := row.method + " " + row.path
		everyone, served := open[name]
		if !served {
			t.Errorf("line %d: %s is not served", row.line, name)
			continue
		}
		if seen[name] {
			t.Errorf("line %d: %s has a row already", row.line, name)
		}
		seen[name] = true
		for _, status := range row.cells["nobody"] {
			if !everyone && status != 401 {
				t.Errorf("line %d: %s: %d without signing in, but the document says that it takes a sign-in", row.line, name, status)
			}
		}
	}
	for name := range open {
		if !seen[name] {
			t.Errorf("%s has no row in testdata/permissions.txt", name)
		}
	}
	for _, role := range keys.BuiltinRoles() {
		if !slices.Contains(roleColumns, string(role.Name)) {
			t.Errorf("the role %s has no column", role.Name)
		}
	}
	for _, row := range rows {
		t.Run(row.method+" "+row.path, func(t *testing.T) {
			for _, role := range roleColumns {
				for i, want := range row.cells[role] {
					if got := w.call(row, role, i); got.status != want {
						t.Errorf("line %d: %s, target %d: got %d, want %d: %s", row.line, role, i+1, got.status, want, got.body)
					}
				}
			}
		})
	}
}

// call makes a person with the role and a target of its own, and calls the endpoint.
func (w *town) call(row permissionRow, role string, target int) reply {
	w.t.Helper()
	tenant := keys.TenantID("acme")
	if role == "support" || role == "operator" {
		tenant = ""
	}
	me := w.person(tenant)
	if role != "nobody" {
		me = w.person(tenant, keys.RoleName(role))
	}
	text, session := w.session(me)
	path, body := row.path, strings.ReplaceAll(row.body, "EMAIL", w.fresh("new")+"@example.com")
	switch row.target {
	case "key":
		owner := []keys.User{me, w.person("acme"), w.person("other")}[target]
		path = strings.Replace(path, "{id}", w.key(owner), 1)
	case "user":
		who := []keys.User{me, w.person(tenant), w.person("other")}[target]
		if target > 0 {
			_, session = w.session(who)
		}
		path = strings.Replace(path, "{id}", string(who.ID), 1)
		path = strings.Replace(path, "{session}", string(session.ID), 1)
	case "tenant":
		own := keys.DefaultTenant
		if tenant != "" {
			own = tenant
		}
		path = strings.Replace(path, "{id}", string([]keys.TenantID{own, "other"}[target]), 1)
	case "token":
		made, err := w.registry.CreateToken(w.t.Context(), keys.LocalActor("test"), keys.NewToken{
			Name: "x", Roles: []keys.RoleName{keys.RoleViewer}, Tenant: []keys.TenantID{tenant, "other"}[target],
		})
		if err != nil {
			w.t.Fatal(err)
		}
		path = strings.Replace(path, "{id}", string(made.Token.ID), 1)
	}
	path = strings.Replace(path, "{name}", "viewer", 1)
	if role == "nobody" {
		return w.do(row.method, path, body)
	}
	return w.as(text, row.method, path, body)
}
