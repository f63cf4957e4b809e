package main

import (
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

func newPlans(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "plans",
		Short: "List the plans: what limits a key on each has",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := newClient(g)
			if err != nil {
				return err
			}
			return listWhole(cmd, g, client, "/v1/plans", []string{"NAME", "LIMITS", "TIME ZONE", "WHERE"},
				func(p plan) []string { return []string{p.Name, p.limits(), p.TimeZone, p.ManagedBy} })
		},
	}
}

// plan is one item of /v1/plans.
type plan struct {
	Name   string `json:"name"`
	Limits []struct {
		Limit string `json:"limit"`
		Per   string `json:"per"`
	} `json:"limits"`
	TimeZone  string `json:"time_zone"`
	ManagedBy string `json:"managed_by"`
}

func (p plan) limits() string {
	if len(p.Limits) == 0 {
		return "unlimited"
	}
	words := make([]string, len(p.Limits))
	for i, l := range p.Limits {
		words[i] = l.Limit
		if l.Per != "key" {
			words[i] += " per " + l.Per
		}
	}
	return strings.Join(words, ", ")
}

// listWhole prints a list that has no pages.
func listWhole[T any](cmd *cobra.Command, g *globals, c *client, path string, headings []string, row func(T) []string) error {
	return listPages(cmd, g, c, path, url.Values{}, 0, 0, headings, row)
}
