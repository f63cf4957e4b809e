package keyfile

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The part of YAML that a dump uses: at the top names with lists in block style or plain values.
// Such a file is taken apart by its lines, element by element, because the parser's cost grows
// faster than the text does. Anchors, aliases and tags are refused: no dump has them, and a few
// lines of them can unfold into gigabytes.

// Bounds of one element, before the parser sees it: it recurses by depth.
const (
	maxElement = 1 << 20 // bytes
	maxIndent  = 128     // columns
)

// topLine is a name at the top and what stands beside it.
var topLine = regexp.MustCompile(`^(?:"([^"\\]*)"|'([^']*)'|([A-Za-z_][A-Za-z0-9_-]*))[ \t]*:(?:[ \t]+(.*))?$`)

// walkYAML hands the wanted sections of a file to visit, and of the others only their names. It tells
// whether the file was read to its end.
func walkYAML(f *File, text string, wanted []string, visit func(section)) bool {
	w := &yamlWalker{File: f, wanted: wanted, visit: visit}
	seen := map[string]bool{}
	line := 0
	for s := range strings.Lines(text) {
		line++
		s = strings.TrimRight(s, "\r\n")
		blank := strings.TrimSpace(s)
		switch {
		case blank == "" || strings.HasPrefix(blank, "#"):
			w.body = append(w.body, yamlLine{line, s})
			continue
		case s == "---" && w.name == "":
			continue
		case s == "---" || strings.HasPrefix(s, "--- "):
			w.flush()
			w.problem(line, "a second document begins here; keep one in each file")
			return false
		case s == "...", strings.HasPrefix(s, "%"):
			w.problem(line, "document ends and directives of YAML are not supported; remove the line")
			return false
		case s[0] == ' ' || s[0] == '-' || s[0] == '\t':
			if w.name == "" {
				w.problem(line, "is not what decK dumps: names such as consumers are expected at the top")
				return false
			}
			w.body = append(w.body, yamlLine{line, s})
			continue
		}
		m := topLine.FindStringSubmatch(s)
		if m == nil {
			w.problem(line, "cannot be read: a name and a colon are expected, as in consumers:")
			return false
		}
		w.flush()
		w.name, w.line, w.beside = m[1]+m[2]+m[3], line, m[4]
		if seen[w.name] {
			w.problem(line, "%s is written twice", show(w.name))
		}
		seen[w.name] = true
	}
	w.flush()
	return true
}

// yamlLine is a line of a section.
type yamlLine struct {
	line int
	text string
}

// yamlWalker is the section under way.
type yamlWalker struct {
	*File
	wanted []string
	visit  func(section)
	name   string
	line   int
	beside string // what stands beside the name
	body   []yamlLine
}

// flush hands over the section that ends here.
func (w *yamlWalker) flush() {
	defer func() { w.body = w.body[:0] }()
	if w.name == "" {
		return
	}
	if !slices.Contains(w.wanted, w.name) {
		w.visit(section{name: w.name, line: w.line, whole: &node{line: w.line}})
		return
	}
	if beside, _, _ := strings.Cut(" "+w.beside, " #"); strings.TrimSpace(beside) != "" {
		if n := w.parse(w.beside, w.line); n != nil && (n.kind != list || len(n.items) > 0) {
			if n.kind == list {
				w.problem(w.line, "%s must be written one element to a line, each after a dash", w.name)
				return
			}
			w.visit(section{name: w.name, line: w.line, whole: n})
		}
		return
	}
	w.elements()
}

// elements parts the list of a section at its dashes.
func (w *yamlWalker) elements() {
	var element strings.Builder
	first, indent := 0, -1
	end := func() {
		if element.Len() > 0 {
			if n := w.parse(element.String(), first); n != nil && n.kind == list {
				for _, item := range n.items {
					w.visit(section{name: w.name, line: w.line, item: item})
				}
			}
		}
		element.Reset()
	}
	for _, l := range w.body {
		trimmed := strings.TrimLeft(l.text, " ")
		if indent < 0 {
			if trimmed == "" || trimmed[0] == '#' {
				continue
			}
			if trimmed[0] != '-' {
				w.problem(l.line, "%s must be a list", w.name)
				return
			}
			indent = len(l.text) - len(trimmed)
		}
		if at := len(l.text) - len(trimmed); at == indent && (trimmed == "-" || strings.HasPrefix(trimmed, "- ")) {
			end()
			first = l.line
		} else if at < indent && trimmed != "" && trimmed[0] != '#' {
			w.problem(l.line, "is indented less than the list that it stands in")
			return
		}
		element.WriteString(l.text)
		element.WriteByte('\n')
	}
	end()
}

// parse reads one element that begins at a line; nil when there is a problem, which is told.
func (w *yamlWalker) parse(text string, line int) (n *node) {
	p := &yamlParser{File: w.File, first: line, last: line + max(strings.Count(text, "\n"), 1) - 1}
	if len(text) > maxElement {
		p.problem(line, "has more than %d KiB", maxElement>>10)
		return nil
	}
	// The parser is a stranger to us: whatever it makes of hostile bytes, the others must be read.
	defer func() {
		if recover() != nil {
			p.problem(line, "cannot be read as YAML")
			n = nil
		}
	}()
	tokens := lexer.Tokenize(text)
	if !p.bounded(tokens) {
		return nil
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		p.syntax(err)
		return nil
	}
	before := len(w.Problems)
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if n = p.value(doc.Body); len(w.Problems) > before {
			return nil
		}
	}
	return n
}

// yamlParser turns the parser's tree into ours.
type yamlParser struct {
	*File
	first, last int // lines of the file
}

func (p *yamlParser) at(t *token.Token) int {
	if t == nil || t.Position == nil {
		return p.first
	}
	// The parser also counts a lone carriage return as a line.
	return min(p.first+max(t.Position.Line, 1)-1, p.last)
}

// bounded refuses nesting that would cost the parser seconds or the stack.
func (p *yamlParser) bounded(tokens token.Tokens) bool {
	depth, dashes, line := 0, 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType:
			dashes++
		}
		if t.Position != nil && t.Position.Line != line {
			line, dashes = t.Position.Line, min(dashes, 1)
		}
		if depth > maxDepth || dashes > maxDepth || t.Position != nil && t.Position.IndentNum > maxIndent {
			p.problem(p.at(t), "is nested deeper than %d levels", maxDepth)
			return false
		}
	}
	return true
}

func (p *yamlParser) syntax(err error) {
	// The parser's own error type is internal to it; this is what it lets out. Its message may quote
	// the text, so it stays out.
	var e interface{ GetToken() *token.Token }
	line := p.first
	if errors.As(err, &e) {
		line = p.at(e.GetToken())
	}
	p.problem(line, "cannot be read as YAML")
}

func (p *yamlParser) value(n ast.Node) *node {
	if n == nil {
		return &node{}
	}
	out := &node{line: p.at(n.GetToken())}
	switch n := n.(type) {
	case *ast.NullNode:
	case *ast.StringNode:
		out.kind, out.text = scalar, n.Value
	case *ast.LiteralNode:
		out.kind, out.text = scalar, n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode, *ast.BoolNode:
		out.kind, out.text = scalar, n.GetToken().Value
	case *ast.SequenceNode:
		out.kind = list
		for _, v := range n.Values {
			item := p.value(v)
			out.items = append(out.items, item)
		}
	case *ast.MappingNode:
		out.kind = object
		p.entries(out, n.Values)
	case *ast.MappingValueNode:
		out.kind = object
		p.entries(out, []*ast.MappingValueNode{n})
	default:
		p.problem(out.line, "anchors, aliases and tags of YAML are not supported; write the value out")
	}
	return out
}

func (p *yamlParser) entries(out *node, values []*ast.MappingValueNode) {
	for i, v := range values {
		line := p.at(v.Key.GetToken())
		if i == 0 {
			out.line = line // the parser points at the colon
		}
		key, ok := v.Key.(*ast.StringNode)
		if !ok {
			p.problem(line, "a name must be plain text")
			continue
		}
		out.entries = append(out.entries, entry{key.Value, line, p.value(v.Value)})
	}
}

// String says where and what.
func (p Problem) String() string {
	if p.Line == 0 {
		return p.Text
	}
	return fmt.Sprintf("%d: %s", p.Line, p.Text)
}
