package keyfile

import (
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
)

// table is a CSV under its header row.
type table struct {
	columns []string // as column returned them; "" is left out
	row     []string
	line    int
}

// walkCSV hands each row to visit. column finds what a heading stands for, "" to leave it out. Rows
// of another length than the header are told, and left out. join may put together cells that another
// writer's quotes have taken apart; nil does not.
func walkCSV(f *File, text string, column func(heading string) string, join func(columns, row []string) []string, visit func(*table)) {
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	header, err := r.Read()
	if err != nil {
		f.csvProblem(err)
		return
	}
	t := &table{}
	for _, heading := range header {
		name := column(strings.TrimSpace(heading))
		if name != "" && slices.Contains(t.columns, name) {
			f.problem(1, "the column %s stands there twice", name)
		}
		t.columns = append(t.columns, name)
	}
	if len(f.Problems) > 0 {
		return
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			f.csvProblem(err)
			if len(f.Problems) >= maxProblems {
				return
			}
			continue
		}
		t.line, _ = r.FieldPos(0)
		if join != nil {
			row = join(t.columns, row)
		}
		if empty(row) {
			continue
		}
		if len(row) != len(t.columns) {
			f.problem(t.line, "has %d cells, and the header has %d; a cell with a comma or a line break in it stands in quotes", len(row), len(t.columns))
			continue
		}
		t.row = row
		visit(t)
	}
}

func (f *File) csvProblem(err error) {
	var wrong *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		f.problem(0, "the file is empty; its first line names the columns")
	case errors.As(err, &wrong):
		f.problem(wrong.StartLine, "is not CSV: %v in line %d, column %d", wrong.Err, wrong.Line, wrong.Column)
	default:
		f.problem(0, "cannot be read as CSV")
	}
}

func empty(row []string) bool {
	return !slices.ContainsFunc(row, func(cell string) bool { return strings.TrimSpace(cell) != "" })
}

// readCSV reads a table of our own columns: those of a key in JSON, key for text, and metadata.NAME.
func readCSV(f *File, text string) {
	walkCSV(f, text, func(heading string) string {
		lower := strings.ToLower(heading)
		switch {
		case lower == "key":
			return "text"
		case strings.HasPrefix(lower, metadataColumn) && len(heading) > len(metadataColumn):
			return metadataColumn + heading[len(metadataColumn):]
		case lower == "metadata" || lower == metadataColumn:
			f.problem(1, "the column %s names no fact; write for example metadata.team", lower)
			return ""
		case slices.Contains(keyFields(), lower):
			return lower
		}
		f.problem(1, "unknown column %s%s", show(heading), meant(lower, append(keyFields(), "key")))
		return ""
	}, nil, func(t *table) {
		k := Key{Line: t.line}
		for i, name := range t.columns {
			cell := t.row[i]
			if name != "text" { // the text is what it is
				cell = strings.TrimSpace(cell)
			}
			switch {
			case strings.HasPrefix(name, metadataColumn):
				k.note(name[len(metadataColumn):], cell)
			case name == "apis":
				k.APIs = words(cell)
			case name == "scopes":
				k.Scopes = words(cell)
			case name == "owner":
				k.Owner = owner(cell)
			default:
				f.setField(&k, name, cell, t.line)
			}
		}
		f.wantSecret(&k)
		f.add(k)
	})
}

const metadataColumn = "metadata."

// words parts a cell that holds a list.
func words(cell string) []string {
	return strings.FieldsFunc(cell, func(r rune) bool { return strings.ContainsRune(" ,;\n\t", r) })
}
