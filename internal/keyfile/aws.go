package keyfile

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// awsColumns are the columns of the CSV that import-api-keys takes. Their case does not count.
func awsColumns() []string { return []string{"name", "key", "description", "enabled", "usageplanids"} }

// readAWSCSV reads the table that Amazon API Gateway imports API keys from.
func readAWSCSV(f *File, text string, o Options) {
	plans := planMapper{file: f, plans: o.Plans}
	walkCSV(f, text, func(heading string) string {
		lower := strings.ToLower(heading)
		if slices.Contains(awsColumns(), lower) {
			return lower
		}
		f.warn(1, "the column %s is not imported%s", show(heading), meant(lower, awsColumns()))
		return ""
	}, joinSingleQuoted, func(t *table) {
		k := Key{Line: t.line}
		name := ""
		for i, column := range t.columns {
			cell := strings.TrimSpace(t.row[i])
			switch column {
			case "name":
				name = cell
			case "key":
				k.Text = Text(cell)
			case "description":
				k.Description = cell
			case "enabled":
				f.enabled(&k, cell)
			case "usageplanids":
				plans.choose(&k, words(strings.Trim(cell, "'")))
			}
		}
		f.awsKey(k, name, "")
	})
	plans.finish()
}

// enabled reads TRUE, false, or nothing for TRUE.
func (f *File) enabled(k *Key, cell string) {
	on, err := strconv.ParseBool(strings.ToLower(cmp.Or(cell, "true")))
	if err != nil {
		f.problem(k.Line, "enabled is %s; it must be true or false", show(cell))
		return
	}
	if !on {
		k.Status = "suspended"
	}
}

// joinSingleQuoted puts a list in single quotes together again, which Amazon allows and CSV does not
// know.
func joinSingleQuoted(columns, row []string) []string {
	for i := 0; i < len(row) && len(row) > len(columns); i++ {
		if !strings.HasPrefix(row[i], "'") || strings.HasSuffix(row[i], "'") && len(row[i]) > 1 {
			continue
		}
		for j := i + 1; j < len(row); j++ {
			if strings.HasSuffix(row[j], "'") {
				return slices.Concat(row[:i], []string{strings.Join(row[i:j+1], ",")}, row[j+1:])
			}
		}
	}
	return row
}

// readAWSJSON reads what aws apigateway get-api-keys --include-values prints.
func readAWSJSON(f *File, text string) {
	var ignored tally
	walkJSON(f, text, func(s section) {
		switch {
		case s.item != nil && s.name == "items":
			f.awsItem(s.item, &ignored)
		case s.name == "position", s.name == "NextToken":
			f.problem(s.line, "%s says that there are more keys than these; get all of them in one file", s.name)
		case (s.name == "items" || s.name == "warnings") && s.whole.kind == list: // empty
		default:
			ignored.add(s.name, s.line)
		}
	})
	ignored.warn(f)
}

func (f *File) awsItem(n *node, ignored *tally) {
	if n.kind != object {
		f.problem(n.line, "a key must be an object")
		return
	}
	k := Key{Line: n.line}
	name, id := "", ""
	for _, e := range n.entries {
		switch e.name {
		case "id":
			id, _ = f.scalarOf(e)
		case "value":
			text, _ := f.scalarOf(e)
			k.Text = Text(text)
		case "name":
			name, _ = f.scalarOf(e)
		case "description":
			k.Description, _ = f.scalarOf(e)
		case "customerId":
			text, _ := f.scalarOf(e)
			k.note("aws_customer_id", text)
		case "enabled":
			if on, ok := f.boolOf(e); ok && !on {
				k.Status = "suspended"
			}
		case "createdDate":
			text, _ := f.scalarOf(e)
			k.CreatedAt = f.timeOf(e.name, text, e.line)
		case "tags":
			for tag, value := range f.mapOf(e) {
				k.note("aws_tag_"+tag, value)
			}
		case "lastUpdatedDate": // says nothing that an import could keep
		case "stageKeys":
			if len(f.textsOf(e)) > 0 {
				ignored.add(e.name, e.line)
			}
		default:
			ignored.add(e.name, e.line)
		}
	}
	f.awsKey(k, cmp.Or(name, id), id)
}

// awsKey adds a key of Amazon's under its name there.
func (f *File) awsKey(k Key, name, id string) {
	k.ExternalID = id
	if k.Text == "" {
		f.problem(k.Line, "the key itself is missing; get-api-keys prints it with --include-values")
	}
	if name == "" {
		f.problem(k.Line, "the key has no name")
	}
	f.shortName(&k, name, "aws_name")
	f.add(k)
}

// planMapper turns Amazon's usage plans into plans. A key here has one plan.
type planMapper struct {
	file    *File
	plans   map[string]string
	unknown tally
}

func (m *planMapper) choose(k *Key, ids []string) {
	k.note("aws_usage_plans", strings.Join(ids, " "))
	for _, id := range ids {
		plan, known := m.plans[id]
		switch {
		case !known:
			m.unknown.add(id, k.Line)
		case plan == "" || plan == k.Plan:
		case k.Plan != "":
			m.file.problem(k.Line, "its usage plans stand for two plans, %s and %s; a key has one", k.Plan, plan)
		default:
			k.Plan = plan
		}
	}
}

// finish tells of usage plans that nobody said the meaning of.
func (m *planMapper) finish() {
	m.unknown.each(func(id string, line, count int) {
		m.file.problem(line, "the usage plan %s stands for no plan (%s): add --map-plan %s=PLAN, or --map-plan %s= to leave it out",
			show(id), many(count, "key"), id, id)
	})
}
