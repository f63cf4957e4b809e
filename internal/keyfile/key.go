package keyfile

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Format is how a file is written.
type Format string

// The formats.
const (
	JSON Format = "json"
	CSV  Format = "csv"
	Kong Format = "kong" // deck gateway dump, as YAML or JSON
	AWS  Format = "aws"  // the CSV of import-api-keys, or the JSON of get-api-keys --include-values
)

// Formats lists them all.
func Formats() []Format { return []Format{JSON, CSV, Kong, AWS} }

// Bounds of what is read.
const (
	maxKey      = 64 << 10 // bytes of one key with all that belongs to it
	maxProblems = 1000     // told of one file
	maxName     = 100      // characters; names of other gateways may be longer and are cut
)

// Key is one key of a file, in the form that POST /v1/keys/import takes.
type Key struct {
	Line        int               `json:"-"` // where it begins, from 1
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	Text        Text              `json:"text,omitempty"`
	Hash        string            `json:"hash,omitempty"`
	Tenant      string            `json:"tenant,omitempty"`
	Owner       *Owner            `json:"owner,omitempty"`
	Plan        string            `json:"plan,omitempty"`
	APIs        []string          `json:"apis,omitempty"`
	Scopes      []string          `json:"scopes,omitempty"`
	Status      string            `json:"status,omitempty"` // "" or suspended
	CreatedAt   *time.Time        `json:"created_at,omitempty"`
	ExpiresAt   *time.Time        `json:"expires_at,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	ExternalID  string            `json:"external_id,omitempty"`
}

// Owner is whose a key is: type tenant, or user with an id.
type Owner struct {
	Type string `json:"type"`
	ID   string `json:"id,omitempty"`
}

// Text is the whole text of a key. It prints as a mask; JSON holds it as it is.
type Text string

// String returns a mask.
func (Text) String() string { return "[secret]" }

// GoString returns a mask.
func (Text) GoString() string { return "[secret]" }

// Grant is what membership in a group of another gateway is worth: an API or a scope.
type Grant struct{ API, Scope string }

// Options say what names in a file stand for.
type Options struct {
	// Groups maps Kong's ACL groups; a group that is mapped to an empty list is left out.
	Groups map[string][]Grant
	// Plans maps Amazon's usage plans to plans; one that is mapped to "" is left out.
	Plans map[string]string
	// Written is when the file was made: times to live count from then.
	Written time.Time
}

// Problem is something in a line of a file, 0 for the file as a whole.
type Problem struct {
	Line int
	Text string
}

// File is what was read. Its keys are worth nothing while there are problems.
type File struct {
	Keys     []Key
	Problems []Problem // by line; at most 1000
	Warnings []Problem
}

// Read reads a file. It never fails: a file that cannot be read at all is one with a problem.
func Read(f Format, data []byte, o Options) *File {
	out := &File{}
	text := strings.TrimPrefix(string(data), "\ufeff")
	switch f {
	case CSV:
		readCSV(out, text)
	case Kong:
		readKong(out, text, o)
	case AWS:
		if looksJSON(text) {
			readAWSJSON(out, text)
		} else {
			readAWSCSV(out, text, o)
		}
	default:
		readJSON(out, text)
	}
	if len(out.Keys) == 0 && len(out.Problems) == 0 {
		out.problem(0, "there is no key in it")
	}
	out.findTwins()
	for _, list := range [][]Problem{out.Problems, out.Warnings} {
		slices.SortStableFunc(list, func(a, b Problem) int { return a.Line - b.Line })
	}
	return out
}

func (f *File) problem(line int, format string, args ...any) {
	if len(f.Problems) < maxProblems {
		f.Problems = append(f.Problems, Problem{line, fmt.Sprintf(format, args...)})
	}
}

func (f *File) warn(line int, format string, args ...any) {
	f.Warnings = append(f.Warnings, Problem{line, fmt.Sprintf(format, args...)})
}

// add takes a key that was read, unless it has no secret or is too large to be one.
func (f *File) add(k Key) {
	if k.Text == "" && k.Hash == "" {
		return // which was told
	}
	size := len(k.Name) + len(k.Description) + len(k.Text) + len(k.Hash) + len(k.Tenant) + len(k.Plan) + len(k.ExternalID)
	for _, s := range slices.Concat(k.APIs, k.Scopes) {
		size += len(s)
	}
	for name, value := range k.Metadata {
		size += len(name) + len(value)
	}
	if size > maxKey {
		f.problem(k.Line, "the key has %d bytes with all that belongs to it; at most %d are possible", size, maxKey)
		return
	}
	f.Keys = append(f.Keys, k)
}

// findTwins tells of keys that stand in the file twice, and keeps the first.
func (f *File) findTwins() {
	lines := make(map[[sha256.Size]byte]int, len(f.Keys))
	f.Keys = slices.DeleteFunc(f.Keys, func(k Key) bool {
		sum, ok := k.sum()
		if !ok {
			return false
		}
		first, twice := lines[sum]
		if twice {
			f.problem(k.Line, "is the same key as the one in line %d; keep one", first)
		} else {
			lines[sum] = k.Line
		}
		return twice
	})
}

// sum is the SHA-256 of the key; ok is false for a hash that is none.
func (k *Key) sum() (sum [sha256.Size]byte, ok bool) {
	if k.Text != "" {
		return sha256.Sum256([]byte(k.Text)), true
	}
	b, err := hex.DecodeString(strings.TrimPrefix(k.Hash, "sha256:"))
	if err != nil || len(b) != len(sum) {
		return sum, false
	}
	return [sha256.Size]byte(b), true
}

// shortName cuts a name of another gateway to what fits here, and keeps the whole in the metadata.
func (f *File) shortName(k *Key, name, from string) {
	runes := []rune(name)
	if k.Name = name; len(runes) <= maxName {
		return
	}
	k.Name = string(runes[:maxName-1]) + "…"
	f.warn(k.Line, "the name has %d characters and is cut to %d; the whole one is kept in the metadata as %s", len(runes), maxName, from)
	k.note(from, name)
}

// note keeps a fact in the metadata.
func (k *Key) note(name, value string) {
	if value == "" {
		return
	}
	if k.Metadata == nil {
		k.Metadata = map[string]string{}
	}
	k.Metadata[name] = value
}

// tally counts what cannot be kept by name, with the first line of each.
type tally struct {
	lines  map[string]int
	counts map[string]int
}

func (t *tally) add(name string, line int) {
	if t.lines == nil {
		t.lines, t.counts = map[string]int{}, map[string]int{}
	}
	if t.counts[name]++; t.counts[name] == 1 {
		t.lines[name] = line
	}
}

// each visits the names in the order of their lines.
func (t *tally) each(visit func(name string, line, count int)) {
	names := make([]string, 0, len(t.counts))
	for name := range t.counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(t.lines[a]-t.lines[b], strings.Compare(a, b)) })
	for _, name := range names {
		visit(name, t.lines[name], t.counts[name])
	}
}

// warn tells of each name once.
func (t *tally) warn(f *File) {
	t.each(func(name string, line, count int) {
		f.warn(line, "%s is not imported (it stands there %s)", show(name), many(count, "time"))
	})
}

// many writes a number of things.
func many(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// show quotes what somebody wrote, shortened.
func show(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:60]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
