package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The part of YAML that a configuration may use: one document of maps, lists and plain scalars.
// Anchors, aliases, merge keys, tags and keys that are not text are refused, because a setting
// should be readable where it stands, and because a few lines of them can unfold into gigabytes.

// Bounds on what is read at all. The parser recurses by depth and copies a map's entries for each
// new one, so both are bounded before it sees the text.
const (
	maxText    = 1 << 20
	maxDepth   = 32     // of brackets, or of dashes on one line
	maxIndent  = 128    // columns that block structure may be indented
	maxEntries = 10_000 // lines at one level of one map or list
)

// reader turns text into nodes and collects what is wrong on the way.
type reader struct {
	origin   string // "" for the file
	complain func(at place, what, next string)
}

// read returns the document's root, nil when it is empty or cannot be read at all.
func (r *reader) read(src string) (root *node) {
	src = strings.TrimPrefix(src, "\ufeff")
	if !r.readable(src) {
		return nil
	}
	// The parser is a stranger to us: whatever it makes of hostile bytes, a reload must survive.
	defer func() {
		if p := recover(); p != nil {
			r.complain(r.place(1, 1), fmt.Sprintf("cannot be read as YAML: %v", p), "")
			root = nil
		}
	}()
	tokens := lexer.Tokenize(src)
	if !r.bounded(tokens) {
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(err)
		return nil
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if d, ok := doc.Body.(*ast.DirectiveNode); ok {
			r.complain(r.at(d.GetToken()), "YAML directives are not supported", "remove the line")
			continue
		}
		if body != nil {
			r.complain(r.at(start(doc.Body)), "a second document begins here", "keep one document per file, without --- between its parts")
			break
		}
		body = doc.Body
	}
	if body == nil {
		return nil
	}
	return r.value(body, false)
}

func (r *reader) place(line, column int) place {
	if r.origin != "" {
		return place{origin: r.origin}
	}
	return place{line: line, column: column}
}

func (r *reader) at(t *token.Token) place {
	if t == nil || t.Position == nil {
		return r.place(1, 1)
	}
	return r.place(max(t.Position.Line, 1), max(t.Position.Column, 1))
}

// readable refuses what is no text of a configuration before it is parsed.
func (r *reader) readable(src string) bool {
	if len(src) > maxText {
		r.complain(r.place(1, 1), fmt.Sprintf("is larger than %d KiB", maxText>>10), "keep other data out of the configuration")
		return false
	}
	line, column := 1, 1
	for i, c := range src {
		bad := ""
		switch {
		case c == utf8.RuneError && !strings.HasPrefix(src[i:], "\ufffd"):
			bad = "is not UTF-8 text here"
		case unicode.IsControl(c) && c != '\n' && c != '\r' && c != '\t':
			bad = fmt.Sprintf("has a control character (U+%04X) here", c)
		}
		if bad != "" {
			r.complain(r.place(line, column), bad, "save the file as UTF-8 text")
			return false
		}
		column++
		if c == '\n' {
			line, column = line+1, 1
		}
	}
	return true
}

// bounded refuses nesting and sizes that would cost the parser seconds or the stack.
func (r *reader) bounded(tokens token.Tokens) bool {
	refuse := func(t *token.Token, what string) bool {
		r.complain(r.at(t), what, "")
		return false
	}
	var (
		depth, dashes, line int
		counts              [maxIndent + 2]int // lines seen at each column since the last one further left
	)
	for _, t := range tokens {
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		}
		if depth > maxDepth {
			return refuse(t, fmt.Sprintf("is nested deeper than %d levels", maxDepth))
		}
		if depth > 0 || t.Position == nil {
			continue
		}
		first := t.Position.Line != line
		if first {
			line, dashes = t.Position.Line, 0
		}
		if t.Type == token.SequenceEntryType || t.Type == token.MappingKeyType {
			if dashes++; dashes > maxDepth {
				return refuse(t, fmt.Sprintf("is nested deeper than %d levels", maxDepth))
			}
		}
		if !first || t.Type == token.CommentType {
			continue
		}
		column := t.Position.Column
		if column > maxIndent {
			return refuse(t, fmt.Sprintf("is indented further than %d columns", maxIndent))
		}
		clear(counts[column+1:])
		if counts[column]++; counts[column] > maxEntries {
			return refuse(t, fmt.Sprintf("is a map or list of more than %d lines at one level", maxEntries))
		}
	}
	return true
}

func (r *reader) syntax(err error) {
	// The parser's own error type is internal to it; this is what it lets out.
	var e interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if !errors.As(err, &e) {
		r.complain(r.place(1, 1), "cannot be read as YAML: "+err.Error(), "")
		return
	}
	next := ""
	switch message := e.GetMessage(); {
	case strings.Contains(message, "flow map content"):
		next = `write a key that starts with * in quotes: "*"`
	case strings.Contains(message, "mapping value is not allowed"):
		next = "put a value that holds \": \" in quotes, or a new key on a line of its own"
	case strings.Contains(message, "tab character"), strings.Contains(message, "'\t'"):
		next = "indent with spaces"
	case strings.Contains(message, "reserved character"):
		next = "put the value in quotes"
	}
	r.complain(r.at(e.GetToken()), "cannot be read as YAML: "+strings.ReplaceAll(e.GetMessage(), "\t", `\t`), next)
}

// value converts one value. inFlow tells whether it stands in a list in brackets.
func (r *reader) value(n ast.Node, inFlow bool) *node {
	if n == nil {
		return &node{kind: null}
	}
	t := start(n)
	out := &node{at: r.at(t), width: width(t)}
	refuse := func(what, next string) *node {
		r.complain(out.at, what, next)
		return &node{kind: broken, at: out.at}
	}
	switch n := n.(type) {
	case *ast.NullNode:
		out.kind = null
	case *ast.StringNode:
		out.kind, out.text, out.looks = scalar, n.Value, textLooks
	case *ast.LiteralNode:
		out.kind, out.text, out.looks = scalar, n.Value.Value, textLooks
	case *ast.IntegerNode:
		out.kind, out.text, out.looks = scalar, n.GetToken().Value, integerLooks
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		out.kind, out.text, out.looks = scalar, n.GetToken().Value, numberLooks
	case *ast.BoolNode:
		out.kind, out.text, out.looks = scalar, n.GetToken().Value, booleanLooks
	case *ast.SequenceNode:
		out.kind = list
		for _, v := range n.Values {
			out.items = append(out.items, r.value(v, n.IsFlowStyle))
		}
	case *ast.MappingNode:
		out.kind = mapping
		r.entries(out, n.Values)
		if inFlow {
			out.joined = joined(n)
		}
	case *ast.MappingValueNode:
		out.kind = mapping
		r.entries(out, []*ast.MappingValueNode{n})
	case *ast.AnchorNode:
		return refuse("anchors (&) are not supported", "write the value out, or put it in quotes if it is text")
	case *ast.AliasNode:
		return refuse("aliases (*) are not supported", "write the value out, or put it in quotes if it is text")
	case *ast.TagNode:
		return refuse("tags (!) are not supported", "write the value alone, in quotes if it is text")
	default:
		return refuse("is not supported in a configuration", "write a map, a list or a plain value")
	}
	return out
}

func (r *reader) entries(out *node, values []*ast.MappingValueNode) {
	seen := map[string]place{}
	for _, v := range values {
		key, ok := v.Key.(*ast.StringNode)
		at := r.at(start(v.Key))
		switch {
		case v.Key.Type() == ast.MergeKeyType:
			r.complain(at, "merge keys (<<) are not supported", "write the settings out")
			continue
		case !ok:
			r.complain(at, "a key must be plain text", "put it in quotes")
			continue
		case strings.ContainsFunc(key.Value, unicode.IsControl):
			r.complain(at, "a key must not hold control characters", "")
			continue
		}
		if first, twice := seen[key.Value]; twice {
			r.complain(at, fmt.Sprintf("%q is written twice", key.Value), fmt.Sprintf("it stands already in line %d: keep one", first.line))
			continue
		}
		seen[key.Value] = at
		value := r.value(v.Value, false)
		if value.kind == null {
			value.at, value.width = at, 0
		}
		out.entries = append(out.entries, entry{key: key.Value, at: at, value: value})
	}
}

// joined puts together what a list inside braces has taken apart: [a:1] is the text a:1, but in
// { x: [a:1] } it is the map {a: 1}. "" when there was a space, so a map was meant.
func joined(n *ast.MappingNode) string {
	if len(n.Values) != 1 || n.Start.Type == token.MappingStartType {
		return ""
	}
	colon, value := n.Values[0].GetToken(), n.Values[0].Value.GetToken()
	if value.Position.Line != colon.Position.Line || value.Position.Column != colon.Position.Column+1 {
		return ""
	}
	return n.Values[0].Key.GetToken().Value + ":" + value.Value
}

// start is the token that a value begins with; the parser itself points at a map's first colon.
func start(n ast.Node) *token.Token {
	for {
		switch m := n.(type) {
		case *ast.MappingNode:
			if m.Start != nil && m.Start.Type == token.MappingStartType || len(m.Values) == 0 {
				return m.GetToken()
			}
			n = m.Values[0].Key
		case *ast.MappingValueNode:
			n = m.Key
		default:
			return n.GetToken()
		}
	}
}

func width(t *token.Token) int {
	if t == nil {
		return 0
	}
	first, _, _ := strings.Cut(strings.TrimSpace(t.Origin), "\n")
	return utf8.RuneCountInString(first)
}
