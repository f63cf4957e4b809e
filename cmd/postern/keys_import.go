package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/keyfile"
)

// How keys are sent: so many in one request, and not more bytes than the admin API takes.
const (
	importBatch      = 1000
	importBatchBytes = 4 << 20
	longestKeyFile   = 512 << 20
	progressEvery    = 10_000 // keys
)

// importFlags is what the command line says of every key of a file.
type importFlags struct {
	from             string
	dryRun           bool
	apis, scopes     []string
	plan, tenant     string
	mapGroup, mapAWS []string
}

func newKeysImport(g *globals) *cobra.Command {
	var in importFlags
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Take over keys that callers have already, from another gateway",
		Long: `Take over keys that callers have already: they keep their keys and change nothing.

FILE is JSON, CSV, what decK dumps of Kong's consumers, or what Amazon API Gateway exports or imports;
- reads standard input. All keys are checked first: with a single one that cannot be taken over, nothing
is written. A key that is there already is left as it is, so the command can be repeated.

Postern admits such keys where credentials.accept_imported is true; credentials.accept says in which
header they may stand.`,
		Example: `  postern keys import keys.csv --api orders --dry-run
  postern keys import kong.yaml --from kong --map-group gold=orders --map-group internal=
  postern keys import api-keys.json --from aws --map-plan c7y23b=partner --api orders`,
		Args: exactArgs("the file, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error { return importKeys(cmd.Context(), g, &in, args[0]) },
	}
	f := c.Flags()
	f.StringVar(&in.from, "from", "", "how the file is written: json, csv, kong or aws (default: by its ending)")
	f.BoolVar(&in.dryRun, "dry-run", false, "only check the file and tell what would be done")
	f.StringSliceVar(&in.apis, "api", nil, "API that every key may call; repeat for more")
	f.StringSliceVar(&in.scopes, "scope", nil, "further scope of every key; repeat for more")
	f.StringVar(&in.plan, "plan", "", "plan of the keys for which the file names none")
	f.StringVar(&in.tenant, "tenant", "", "organisation of the keys for which the file names none")
	f.StringArrayVar(&in.mapGroup, "map-group", nil, "`GROUP=API` (or GROUP=scope:SCOPE): what an ACL group of Kong's is worth; GROUP= for nothing; repeat for more")
	f.StringArrayVar(&in.mapAWS, "map-plan", nil, "`USAGEPLAN=PLAN`: what a usage plan of Amazon's stands for; USAGEPLAN= for nothing; repeat for more")
	return c
}

// importKeys reads, checks and then sends a file.
func importKeys(ctx context.Context, g *globals, in *importFlags, path string) error {
	file, err := in.read(g, path)
	if err != nil {
		return err
	}
	name := path
	if path == "-" {
		name = "standard input"
	}
	for _, w := range file.Warnings {
		fmt.Fprintf(g.err, "%s: note: %s\n", place(name, w.Line), printable(w.Text))
	}
	in.apply(file)
	api, err := newClient(g)
	if err != nil && len(file.Problems) == 0 {
		return err
	}
	run := &importRun{api: api, out: g.err, file: file}
	if err == nil && len(file.Keys) > 0 {
		err = run.send(ctx, true)
	}
	if err != nil && len(file.Problems) == 0 {
		return err
	}
	if problems := slices.Concat(file.Problems, run.refused); len(problems) > 0 {
		return importRefused(name, problems, len(file.Keys))
	}
	in.advise(g, file, api)
	if !in.dryRun {
		if err := run.send(ctx, false); err != nil {
			return &failure{code: exitCodeOf(err), err: fmt.Errorf("%d of %d keys were imported: %w", run.counts["created"], len(file.Keys), err),
				next: "Run the command again: what is there already is left as it is."}
		}
	}
	return run.report(g)
}

func exitCodeOf(err error) int {
	var f *failure
	if errors.As(err, &f) {
		return f.code
	}
	return exitFailed
}

// read opens the file and reads it in its format.
func (in *importFlags) read(g *globals, path string) (*keyfile.File, error) {
	options, err := in.options()
	if err != nil {
		return nil, err
	}
	format := keyfile.Format(in.from)
	if in.from == "" {
		endings := map[string]keyfile.Format{".json": keyfile.JSON, ".csv": keyfile.CSV, ".yaml": keyfile.Kong, ".yml": keyfile.Kong}
		if format = endings[strings.ToLower(filepath.Ext(path))]; format == "" {
			return nil, usageError("missing --from: json, csv, kong or aws")
		}
	}
	if !slices.Contains(keyfile.Formats(), format) {
		return nil, usageError("--from %s is not known: use json, csv, kong or aws", in.from)
	}
	from := g.in
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, &failure{code: exitNotFound, err: fmt.Errorf("open the file of keys: %w", err)}
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return nil, fmt.Errorf("look at the file of keys: %w", err)
		}
		from, options.Written = file, info.ModTime()
	}
	data, err := io.ReadAll(io.LimitReader(from, longestKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the file of keys: %w", err)
	}
	if len(data) > longestKeyFile {
		return nil, usageError("the file of keys is larger than %d MiB; part it", longestKeyFile>>20)
	}
	return keyfile.Read(format, data, options), nil
}

// options reads the mappings of the command line.
func (in *importFlags) options() (keyfile.Options, error) {
	o := keyfile.Options{Groups: map[string][]keyfile.Grant{}, Plans: map[string]string{}, Written: time.Now()}
	for _, text := range in.mapGroup {
		group, to, ok := strings.Cut(text, "=")
		if !ok || group == "" {
			return o, usageError("--map-group %q: write GROUP=API, GROUP=scope:SCOPE or GROUP=", text)
		}
		o.Groups[group] = append(o.Groups[group], grants(to)...)
	}
	for _, text := range in.mapAWS {
		id, plan, ok := strings.Cut(text, "=")
		if !ok || id == "" {
			return o, usageError("--map-plan %q: write USAGEPLAN=PLAN or USAGEPLAN=", text)
		}
		o.Plans[id] = plan
	}
	return o, nil
}

// grants reads what a group is worth: APIs and scopes, parted by commas.
func grants(text string) (out []keyfile.Grant) {
	for word := range strings.SplitSeq(text, ",") {
		if scope, ok := strings.CutPrefix(word, "scope:"); ok {
			out = append(out, keyfile.Grant{Scope: scope})
		} else if word != "" {
			out = append(out, keyfile.Grant{API: word})
		}
	}
	return out
}

// apply gives every key what the command line says.
func (in *importFlags) apply(file *keyfile.File) {
	for i := range file.Keys {
		k := &file.Keys[i]
		k.APIs = slices.Concat(k.APIs, in.apis)
		k.Scopes = slices.Concat(k.Scopes, in.scopes)
		if k.Plan == "" {
			k.Plan = in.plan
		}
		if k.Tenant == "" {
			k.Tenant = in.tenant
		}
	}
}

// advise tells of what is allowed and perhaps not meant.
func (in *importFlags) advise(g *globals, file *keyfile.File, api *client) {
	bare, hashes := 0, 0
	for i := range file.Keys {
		if k := &file.Keys[i]; len(k.APIs) == 0 && len(k.Scopes) == 0 {
			bare++
		}
		if file.Keys[i].Hash != "" {
			hashes++
		}
	}
	if bare > 0 {
		fmt.Fprintf(g.err, "note: %s without API and scope: routes that ask for one refuse such keys; --api gives every key one\n", number(bare, "key"))
	}
	if hashes > 0 {
		fmt.Fprintf(g.err, "note: %s known by the hash alone: whether such keys can be guessed could not be checked\n", number(hashes, "key"))
	}
	if here, err := findLocal(g); err == nil && here.adminURL == api.base.String() && !here.cfg.Credentials.AcceptImported {
		fmt.Fprintf(g.err, "note: credentials.accept_imported is off in %s: keys that are not in Postern's form are refused until it is on\n", g.config)
	}
}

// importRun sends the keys of a file, twice: to be checked, and to be written.
type importRun struct {
	api     *client
	out     io.Writer
	file    *keyfile.File
	refused []keyfile.Problem
	items   []importItem
	counts  map[string]int
}

// importItem is what became of one key.
type importItem struct {
	Line   int    `json:"line"`
	Name   string `json:"name"`
	ID     string `json:"id,omitempty"`
	Status string `json:"status"`
}

// send sends all keys, in batches, and keeps the answers.
func (r *importRun) send(ctx context.Context, dryRun bool) error {
	r.items, r.counts = nil, map[string]int{}
	doing := "imported"
	if dryRun {
		doing = "checked"
	}
	all := r.file.Keys
	for done := 0; done < len(all); {
		batch, err := nextBatch(all[done:])
		if err != nil {
			return err
		}
		var answer struct {
			Items []struct {
				Index  int    `json:"index"`
				ID     string `json:"id"`
				Status string `json:"status"`
				Errors []struct {
					Field   string `json:"field"`
					Message string `json:"message"`
				} `json:"errors"`
			} `json:"items"`
		}
		body := map[string]any{"keys": batch, "dry_run": dryRun}
		if err := r.api.do(ctx, http.MethodPost, "/v1/keys/import", nil, body, &answer); err != nil {
			return fmt.Errorf("keys of lines %d to %d: %w", all[done].Line, all[done+len(batch)-1].Line, err)
		}
		if len(answer.Items) != len(batch) {
			return fmt.Errorf("%s answered for %d of %d keys: is this really the admin API?", r.api.base, len(answer.Items), len(batch))
		}
		for i, item := range answer.Items {
			k := &all[done+i]
			for _, e := range item.Errors {
				r.refused = append(r.refused, keyfile.Problem{Line: k.Line, Text: fmt.Sprintf("key %q: %s %s", k.Name, e.Field, e.Message)})
			}
			r.items = append(r.items, importItem{k.Line, k.Name, item.ID, item.Status})
			r.counts[item.Status]++
		}
		before := done
		if done += len(batch); done/progressEvery > before/progressEvery {
			fmt.Fprintf(r.out, "%s %d of %d keys\n", doing, done, len(all))
		}
	}
	return nil
}

// nextBatch takes as many keys as fit into one request, at least one.
func nextBatch(list []keyfile.Key) ([]json.RawMessage, error) {
	var batch []json.RawMessage
	size := 0
	for i := range list {
		text, err := json.Marshal(&list[i])
		if err != nil {
			return nil, fmt.Errorf("write the key of line %d: %w", list[i].Line, err)
		}
		if len(batch) > 0 && (len(batch) == importBatch || size+len(text) > importBatchBytes) {
			break
		}
		batch, size = append(batch, text), size+len(text)
	}
	return batch, nil
}

// report prints what became of every key.
func (r *importRun) report(g *globals) error {
	parts := []string{}
	for _, status := range []struct{ name, words string }{
		{"created", "imported"}, {"would_create", "would be imported"}, {"exists", "there already and left as before"},
	} {
		if n := r.counts[status.name]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", number(n, "key"), status.words))
		}
	}
	fmt.Fprintf(g.err, "%s.\n", strings.Join(parts, ", "))
	if g.output == "json" {
		return writeJSON(g.out, map[string]any{"items": r.items})
	}
	rows := make([][]string, len(r.items))
	for i, item := range r.items {
		rows[i] = []string{strconv.Itoa(item.Line), item.Name, item.Status, item.ID}
	}
	return writeTable(g.out, []string{"LINE", "NAME", "STATUS", "ID"}, rows)
}

// importRefused is the error of a file that cannot be taken over, with all that is wrong with it.
func importRefused(name string, problems []keyfile.Problem, keys int) error {
	slices.SortStableFunc(problems, func(a, b keyfile.Problem) int { return a.Line - b.Line })
	const most = 1000
	var b strings.Builder
	fmt.Fprintf(&b, "nothing was imported; %s has %s", name, number(len(problems), "problem"))
	for i, p := range problems {
		if i == most {
			fmt.Fprintf(&b, "\n  and %d more", len(problems)-most)
			break
		}
		fmt.Fprintf(&b, "\n  %s: %s", place(name, p.Line), printable(p.Text))
	}
	return &failure{code: exitFailed, err: errors.New(b.String()), next: "Correct the file and run the command again."}
}

// number writes a number of things.
func number(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// place is where a problem is, as editors write it.
func place(name string, line int) string {
	if line == 0 {
		return name
	}
	return name + ":" + strconv.Itoa(line)
}
