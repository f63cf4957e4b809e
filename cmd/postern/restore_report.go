package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"postern/internal/keys"
)

// report says what was restored, what was done again, and what cannot be known.
func (r *restoration) report() error {
	m := r.manifest
	unknown := r.unknown()
	fmt.Fprintf(r.g.err, "Restored the state of %s (change %d), made by version %s.\n", m.CreatedAt.Format(time.RFC3339), m.ChangeSeq, printable(m.Postern))
	if r.replaced != "" {
		fmt.Fprintf(r.g.err, "What was there before is kept as %s.\n", r.replaced)
	}
	for _, w := range r.warnings {
		fmt.Fprintln(r.g.err, printable(w))
	}
	if !r.cfg.Store.None() {
		fmt.Fprintln(r.g.err, "Everybody has to sign in again, and one-time codes of before do not work.")
	}
	if len(unknown) > 0 {
		fmt.Fprintf(r.g.err, "Not known: what was revoked, suspended, disabled, lowered or deleted after %s in %s. Such keys, tokens and people can do again what they could.\n"+
			"  Look through an export of the audit trail, if there is one, and revoke them; or restore again with --audit-export.\n",
			m.CreatedAt.Format(time.RFC3339), printable(strings.Join(unknown, ", ")))
	}
	for _, action := range slices.Sorted(maps.Keys(r.replayed.Others)) {
		fmt.Fprintf(r.g.err, "Not brought back: %s, done %d times after the backup.\n", printable(action), r.replayed.Others[action])
	}
	outcomes := r.outcomes()
	if r.g.output == "json" {
		return writeJSON(r.g.out, map[string]any{
			"created_at": m.CreatedAt, "change_seq": m.ChangeSeq, "kept": r.replaced, "unknown_chains": unknown,
			"outcomes": outcomes, "not_brought_back": r.replayed.Others,
		})
	}
	if len(outcomes) == 0 {
		return nil
	}
	var rows [][]string
	for _, o := range outcomes {
		rows = append(rows, []string{o.ID, o.Outcome, o.Meaning})
	}
	return writeTable(r.g.out, []string{"ID", "AFTER THE BACKUP", "NOW"}, rows)
}

// outcome is what became of one key or token that was touched after the backup.
type outcome struct {
	ID      string `json:"id"`
	Outcome string `json:"outcome"`
	Meaning string `json:"now"`
}

func (r *restoration) outcomes() []outcome {
	out := []outcome{}
	add := func(ids []keys.CredentialID, done, meaning string) {
		for _, id := range ids {
			out = append(out, outcome{string(id), done, meaning})
		}
	}
	p := r.replayed
	add(p.Revoked, "revoked", "revoked again")
	add(p.Suspended, "suspended", "suspended again")
	add(p.Denied, "denied", "denied again")
	add(p.Deleted, "deleted", "deleted again")
	for _, id := range p.Tokens {
		out = append(out, outcome{string(id), "revoked", "revoked again"})
	}
	add(p.Resumed, "resumed", "suspended, as in the backup")
	add(p.Rotated, "rotated", "has its old secret, the new one is lost: rotate it again")
	add(p.Edited, "edited", "as in the backup: look whether it may do too much")
	add(p.Lost, "generated", "lost: its holder needs a new one")
	people := func(ids []keys.UserID, done, meaning string) {
		for _, id := range ids {
			out = append(out, outcome{string(id), done, meaning})
		}
	}
	people(p.People.Deleted, "deleted", "deleted again")
	people(p.People.Disabled, "disabled", "disabled again")
	people(p.People.NoKeys, "access to keys removed", "removed again")
	people(p.People.Lowered, "roles assigned", "has the roles of the backup that were left to him")
	people(p.People.Passwords, "password changed", "has his old password: if it was known to others, disable him")
	people(p.People.Edited, "edited", "as in the backup")
	people(p.People.Lost, "created", "lost: create him again")
	for _, id := range p.Altered {
		out = append(out, outcome{id, "denied", "its stored record was altered and is refused"})
	}
	return out
}

// unknown names the chains of the backup of which nobody told what came later.
func (r *restoration) unknown() []string {
	chains := []string{}
	for _, end := range r.ends {
		if !r.covered[end.Chain] {
			chains = append(chains, end.Chain)
		}
	}
	return chains
}
