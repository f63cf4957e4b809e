package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Problem is one thing that is wrong, and where.
type Problem struct {
	File    string // the file, or the variable or flag that says it
	Line    int    // from 1; 0 outside a file
	Column  int    // in characters from 1; 0 outside a file
	Path    string // the setting, as in routes.orders.limits[0]; "" for the file as a whole
	Message string // what is wrong
	Excerpt string // the line and a caret below the column, literal secrets masked; "" outside a file
	Next    string // next step, or ""
}

// String prints file:line:column: path: message, then the excerpt and the next step on lines of
// their own, without a final line break.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Excerpt != "" {
		b.WriteString("\n" + p.Excerpt)
	}
	if p.Next != "" {
		b.WriteString("\n    → " + p.Next)
	}
	return b.String()
}

// OneLine is the problem in one line: file:line:column: path: message; next step.
func (p Problem) OneLine() string {
	text := p.String()
	if p.Excerpt != "" {
		text = strings.Replace(text, "\n"+p.Excerpt, "", 1)
	}
	return strings.Replace(text, "\n    → ", "; ", 1)
}

// Problems is everything that is wrong with a configuration, in the order of the file.
type Problems struct {
	List []Problem
	// More counts those beyond the first thousand, which are not listed.
	More int
}

// Error prints each problem as Problem.String does, and how many there are.
func (p *Problems) Error() string {
	var b strings.Builder
	for _, one := range p.List {
		b.WriteString(one.String() + "\n")
	}
	switch n := len(p.List) + p.More; {
	case p.More > 0:
		fmt.Fprintf(&b, "%d problems, of which the first %d are shown", n, len(p.List))
	case n == 1:
		b.WriteString("1 problem")
	default:
		fmt.Fprintf(&b, "%d problems", n)
	}
	return b.String()
}

// Warning is something worth a look that keeps nobody from running.
type Warning Problem

// String prints it as Problem.String does.
func (w Warning) String() string { return Problem(w).String() }

// maxProblems bounds what a broken file of a megabyte prints.
const maxProblems = 1000

// secretShaped finds what is a secret wherever it stands: a key, client secret or admin token of
// any prefix, a URL's user and password, and a private key where its file should be named.
var secretShaped = regexp.MustCompile(`[a-z][a-z0-9]{1,10}_(?:live_|test_)?[0-9A-Za-z]{12}_[0-9A-Za-z]{40,}|://[^/@\s"]+@|-----BEGIN[^"]*`)

// report collects problems and warnings while a configuration is read.
type report struct {
	file     string
	lines    []string
	problems []finding
	warnings []finding
	secrets  []span // what must not be shown in an excerpt
}

type finding struct {
	at         place
	path       path
	what, next string
}

// span is a stretch of one line of the file.
type span struct{ line, column, width int }

func (r *report) problem(at place, p path, what, next string) {
	r.problems = append(r.problems, finding{at: at, path: p, what: what, next: next})
}

func (r *report) warn(at place, p path, what, next string) {
	r.warnings = append(r.warnings, finding{at: at, path: p, what: what, next: next})
}

// mask keeps a literal secret out of every excerpt and out of what Effective shows.
func (r *report) mask(n *node) {
	n.secret = true
	s := span{line: n.at.line, column: n.at.column, width: n.width}
	if n.kind != scalar {
		s.width = maxText // to the end of the line
	}
	r.secrets = append(r.secrets, s)
}

// err returns the problems in the order of the file, those from elsewhere after them; or nil.
func (r *report) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	list := r.render(r.problems)
	more := max(0, len(list)-maxProblems)
	return &Problems{List: list[:len(list)-more], More: more}
}

func (r *report) render(findings []finding) []Problem {
	slices.SortStableFunc(findings, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.at.origin, b.at.origin), cmp.Compare(a.at.line, b.at.line), cmp.Compare(a.at.column, b.at.column))
	})
	out := make([]Problem, 0, len(findings))
	for i, f := range findings {
		p := Problem{File: r.file, Path: f.path.String(), Message: f.what, Next: f.next}
		if f.at.origin != "" {
			p.File = f.at.origin
		} else {
			p.Line, p.Column = max(f.at.line, 1), max(f.at.column, 1)
			if i < maxProblems {
				p.Excerpt = r.excerpt(p.Line, p.Column)
			}
		}
		out = append(out, p)
	}
	return out
}

// excerpt shows the line and a caret below the column. A long line is cut around the column.
func (r *report) excerpt(line, column int) string {
	if line > len(r.lines) {
		return ""
	}
	shown := []rune(secretShaped.ReplaceAllStringFunc(r.lines[line-1], func(s string) string {
		return strings.Repeat("*", utf8.RuneCountInString(s))
	}))
	for _, s := range r.secrets {
		if s.line != line {
			continue
		}
		for i := s.column - 1; i < min(s.column-1+s.width, len(shown)); i++ {
			shown[i] = '*'
		}
	}
	const width = 100
	caret, before := column-1, ""
	if len(shown) > width && caret > width*3/4 {
		cut := min(caret-width/2, len(shown))
		shown, caret, before = shown[cut:], caret-cut, "…"
	}
	after := ""
	if len(shown) > width {
		shown, after = shown[:width], "…"
	}
	caret = min(caret, len(shown)) + utf8.RuneCountInString(before)
	text := strings.Map(harmless, before+string(shown)+after)
	number := fmt.Sprintf("%5d", line)
	return fmt.Sprintf("%s | %s\n%s | %s^", number, text, strings.Repeat(" ", len(number)), strings.Repeat(" ", caret))
}

// harmless keeps a file from moving the cursor or the caret of who looks at the excerpt.
func harmless(r rune) rune {
	switch {
	case r == '\t':
		return ' ' // one column, as it is counted
	case unicode.IsControl(r):
		return utf8.RuneError
	}
	return r
}

// lines splits a text as positions count it.
func lines(text string) []string {
	all := strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n")
	for i, l := range all {
		all[i] = strings.ToValidUTF8(strings.TrimSuffix(l, "\r"), "\ufffd")
	}
	return all
}
