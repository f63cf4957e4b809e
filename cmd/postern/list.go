package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// listAll pages through a list, prints up to limit items (0: all) and stops.
func listAll[T any](cmd *cobra.Command, g *globals, c *client, path string, query url.Values, limit int, headings []string, row func(T) []string) error {
	const pageSize = 200
	return listPages(cmd, g, c, path, query, limit, pageSize, headings, row)
}

// listPages is listAll with a page size; 0 for a list that comes as a whole and takes no parameters.
func listPages[T any](cmd *cobra.Command, g *globals, c *client, path string, query url.Values, limit, pageSize int, headings []string, row func(T) []string) error {
	if limit < 0 {
		return usageError("--limit %d: it is 1 or more, or 0 for all", limit)
	}
	items := []json.RawMessage{}
	for {
		if pageSize > 0 {
			query.Set("limit", strconv.Itoa(pageSize))
		}
		if limit > 0 {
			query.Set("limit", strconv.Itoa(min(pageSize, limit-len(items))))
		}
		var page struct {
			Items []json.RawMessage `json:"items"`
			Next  *string           `json:"next"`
		}
		if err := c.do(cmd.Context(), http.MethodGet, path, query, nil, &page); err != nil {
			return err
		}
		items = append(items, page.Items...)
		if page.Next == nil || *page.Next == "" || (limit > 0 && len(items) >= limit) {
			break
		}
		query.Set("cursor", *page.Next)
	}
	if g.output == "json" {
		return writeJSON(g.out, map[string]any{"items": items})
	}
	var rows [][]string
	for _, text := range items {
		var item T
		if err := json.Unmarshal(text, &item); err != nil {
			return fmt.Errorf("read the list: %w", err)
		}
		rows = append(rows, row(item))
	}
	return writeTable(g.out, headings, rows)
}

// when writes a time for a table: local readers compare it, so it is UTC and to the second.
func when(t *time.Time, none string) string {
	if t == nil || t.IsZero() {
		return none
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}
