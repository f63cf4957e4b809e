package main

import (
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// auditEntry is what the admin API says of an audit entry, as far as the table shows it.
type auditEntry struct {
	Chain  string    `json:"chain"`
	Seq    int64     `json:"seq"`
	Time   time.Time `json:"time"`
	Action string    `json:"action"`
	Target string    `json:"target"`
	Actor  struct {
		Type string `json:"type"`
		Name string `json:"name"`
	} `json:"actor"`
	Detail map[string]string `json:"detail"`
}

func newAudit(g *globals) *cobra.Command {
	return group("audit", "Show, export and verify who did what",
		newAuditList(g), newAuditExport(g), newAuditVerify(g))
}

// setAll sets the parameters that have a value.
func setAll(query url.Values, pairs ...string) url.Values {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			query.Set(pairs[i], pairs[i+1])
		}
	}
	return query
}

// summary writes an entry's details in one cell, the name first.
func (e *auditEntry) summary() string {
	parts := []string{}
	if name := e.Detail["name"]; name != "" {
		parts = append(parts, "name="+name)
	}
	for _, key := range sortedNames(e.Detail) {
		if key != "name" {
			parts = append(parts, key+"="+e.Detail[key])
		}
	}
	const longest = 80
	if text := []rune(strings.Join(parts, " ")); len(text) > longest {
		return string(text[:longest-1]) + "…"
	}
	return strings.Join(parts, " ")
}
