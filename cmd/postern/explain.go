package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// explanation is what the admin API says of a decision.
type explanation struct {
	Decision struct {
		Status       int    `json:"status"`
		Code         string `json:"code"`
		Detail       string `json:"detail"`
		Hint         string `json:"hint"`
		RetryAfterMS int64  `json:"retry_after_ms"`
		WouldRefuse  *struct {
			Status int    `json:"status"`
			Code   string `json:"code"`
		} `json:"would_refuse"`
	} `json:"decision"`
	Steps []struct {
		Name    string `json:"name"`
		Verdict string `json:"verdict"`
		Detail  string `json:"detail"`
	} `json:"steps"`
	Limits []keyLimit `json:"limits"`
}

// keyLimit is where a limit stands.
type keyLimit struct {
	Name      string `json:"name"`
	Route     string `json:"route"`
	Limit     int64  `json:"limit"`
	Used      int64  `json:"used"`
	Remaining int64  `json:"remaining"`
	RetryMS   int64  `json:"retry_after_ms"`
	ResetMS   int64  `json:"reset_ms"`
}

func newExplain(g *globals) *cobra.Command {
	var in struct {
		Key     string `json:"key,omitempty"`
		Secret  string `json:"secret,omitempty"`
		Method  string `json:"method,omitempty"`
		Host    string `json:"host,omitempty"`
		Path    string `json:"path"`
		Address string `json:"address,omitempty"`
	}
	var fromStdin bool
	c := &cobra.Command{
		Use:   "explain --path PATH",
		Short: "Tell how a call would be decided now, step by step; nothing is spent",
		Example: `  postern explain --key key_2b9xQm4TzL0a --method POST --path /orders/
  postern explain --secret-stdin --path /orders/ --host api.example.com < key.txt`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if in.Path == "" {
				return usageError("missing --path, such as /orders/")
			}
			if fromStdin && in.Key != "" {
				return usageError("--key and --secret-stdin exclude each other")
			}
			if fromStdin {
				var err error
				if in.Secret, err = readSecretLine(g.in); err != nil {
					return err
				}
			}
			api, err := newClient(g)
			if err != nil {
				return err
			}
			return ask(cmd, g, api, http.MethodPost, "/v1/explain", in, func(e explanation) error { return e.print(g.out) })
		},
	}
	f := c.Flags()
	f.StringVar(&in.Key, "key", "", "id of a key: as if it had been shown")
	f.BoolVar(&fromStdin, "secret-stdin", false, "read a key's text, or a client's secret, on standard input")
	f.StringVar(&in.Method, "method", "GET", "the call's method")
	f.StringVar(&in.Path, "path", "", "the call's path, perhaps with a query")
	f.StringVar(&in.Host, "host", "", "the call's Host (default: localhost)")
	f.StringVar(&in.Address, "address", "", "the caller's address (default: 127.0.0.1)")
	return c
}

// readSecretLine reads the one line that standard input holds.
func readSecretLine(r io.Reader) (string, error) {
	const longest = 4096
	line, err := bufio.NewReader(io.LimitReader(r, longest+2)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read standard input: %w", err)
	}
	text := strings.TrimRight(line, "\r\n")
	if text == "" || len(text) > longest {
		return "", usageError("standard input must hold one key on one line, at most %d bytes", longest)
	}
	return text, nil
}

func (e *explanation) print(w io.Writer) error {
	rows := make([][]string, len(e.Steps))
	for i, s := range e.Steps {
		rows[i] = []string{s.Name, s.Verdict, s.Detail}
	}
	if err := writeTable(w, []string{"STEP", "VERDICT", "DETAIL"}, rows); err != nil {
		return err
	}
	if len(e.Limits) > 0 {
		fmt.Fprintln(w)
		if err := writeLimits(w, e.Limits); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w, "\n"+e.verdict())
	return err
}

// verdict is the decision in one line.
func (e *explanation) verdict() string {
	d := &e.Decision
	wait := ""
	if d.RetryAfterMS > 0 {
		wait = "; there is room in " + (time.Duration(d.RetryAfterMS) * time.Millisecond).String()
	}
	switch {
	case d.WouldRefuse != nil:
		return fmt.Sprintf("The call passes, because its route only observes; it would be refused: %d %s%s.", d.WouldRefuse.Status, d.WouldRefuse.Code, wait)
	case d.Code == "admitted":
		return "The call is admitted."
	default:
		return fmt.Sprintf("The call is refused: %d %s%s.", d.Status, d.Code, wait)
	}
}

func writeLimits(w io.Writer, limits []keyLimit) error {
	rows := make([][]string, len(limits))
	for i, l := range limits {
		rows[i] = []string{l.Name, l.Route, strconv.FormatInt(l.Limit, 10), strconv.FormatInt(l.Used, 10), strconv.FormatInt(l.Remaining, 10),
			(time.Duration(l.ResetMS) * time.Millisecond).String()}
	}
	return writeTable(w, []string{"LIMIT", "ROUTE", "ALLOWS", "USED", "LEFT", "RESET IN"}, rows)
}
