package admin

import (
	"context"
	"net/http"
	"time"

	"postern/internal/keys"
)

const revokeKeysDoc = "Revokes many keys for good: those of a list, or those that a filter selects, at most 10,000 in a call. Give one of the two. " +
	"The answer tells of each key what happened; one that cannot be revoked does not hold up the others. With dry_run nothing happens, and nothing is waited for." +
	waitDoc

type revokeKeysInput struct {
	FleetWait
	Body ManyRevocations
}

// ManyRevocations says which keys to revoke.
type ManyRevocations struct {
	IDs    []string   `json:"ids,omitempty" doc:"The keys' ids, at most 10,000." example:"key_7Qd2mXk0aVbR"`
	Filter *KeyFilter `json:"filter,omitempty" doc:"Selects keys that can be revoked, as GET /v1/keys does. It must narrow."`
	Reason string     `json:"reason,omitempty" doc:"Kept in the audit trail." example:"leaked in a public repository"`
	DryRun bool       `json:"dry_run,omitempty" doc:"Only tell what would happen." example:"true"`
}

// KeyFilter selects keys.
type KeyFilter struct {
	Search        string    `json:"search,omitempty" doc:"Case-insensitive part of the name, id or owner." example:"ci"`
	Status        string    `json:"status,omitempty" enum:"active,suspended" doc:"Only keys in this state; both when left out." example:"active"`
	Owner         string    `json:"owner,omitempty" doc:"Only keys of this owner: a user's id, or the word tenant." example:"tenant"`
	Tenant        string    `json:"tenant,omitempty" doc:"Only keys of this organisation." example:"default"`
	Kind          string    `json:"kind,omitempty" enum:"api_key,client" doc:"Only keys of this kind." example:"api_key"`
	API           string    `json:"api,omitempty" doc:"Only keys that hold this API." example:"orders"`
	ExpiresBefore time.Time `json:"expires_before,omitzero" doc:"Only keys that end before this time." example:"2027-01-01T00:00:00Z"`
	UnusedFor     string    `json:"unused_for,omitempty" doc:"Only keys that were made, and not used, for so long: 12h, 90d, 6mo, 1y." example:"90d"`
}

// ManyRevoked tells what happened.
type ManyRevoked struct {
	DryRun  bool            `json:"dry_run" doc:"Nothing happened; this is what would." example:"false"`
	Items   []RevokeOutcome `json:"items" doc:"What happened to each key."`
	Revoked int             `json:"revoked" doc:"How many were revoked, or would be." example:"2"`
	Refused int             `json:"refused" doc:"How many were not." example:"0"`
	More    bool            `json:"more" doc:"The filter selects more than one call takes: ask again for the rest." example:"false"`

	// These are only there when the fleet was waited for.
	Seq       *int64             `json:"seq,omitempty" doc:"With wait=fleet: number of the last change, or of one that was made meanwhile." example:"4711"`
	Confirmed *bool              `json:"confirmed,omitempty" doc:"With wait=fleet: all of it is in effect on every gateway that could still admit one of the keys." example:"true"`
	Nodes     []NodeConfirmation `json:"nodes,omitempty" doc:"With wait=fleet: the gateways that count."`
}

// RevokeOutcome tells what happened to one key.
type RevokeOutcome struct {
	ID     string `json:"id" doc:"The key's id." example:"key_7Qd2mXk0aVbR"`
	Status string `json:"status,omitempty" enum:"pending,active,suspended,expired,revoked,denied" doc:"Its state after the call; left out where it is not known." example:"revoked"`
	Code   string `json:"code,omitempty" doc:"Why it was not revoked, as a problem's code." example:"invalid_state"`
	Detail string `json:"detail,omitempty" doc:"The same for people."`
}

type manyRevokedOutput struct {
	Status int
	Body   ManyRevoked
}

func (s *server) revokeKeys(ctx context.Context, a keys.Actor, in *revokeKeysInput) (*manyRevokedOutput, error) {
	b := in.Body
	most, err := in.most()
	if err != nil {
		return nil, err
	}
	many := keys.ManyRevocations{IDs: names[keys.CredentialID](b.IDs), Reason: b.Reason, DryRun: b.DryRun}
	if b.Filter != nil {
		many.Filter = b.Filter.filter()
		if many.Filter.UnusedSince, err = s.unusedSince("filter.unused_for", b.Filter.UnusedFor); err != nil {
			return nil, err
		}
	}
	done, err := s.Registry.RevokeMany(ctx, a, many)
	if err != nil {
		return nil, err
	}
	out := ManyRevoked{DryRun: b.DryRun, Items: make([]RevokeOutcome, len(done.Outcomes)), More: done.More}
	for i, one := range done.Outcomes {
		out.Items[i] = RevokeOutcome{ID: string(one.ID), Status: string(one.Status)}
		if one.No == nil {
			out.Revoked++
			continue
		}
		out.Refused++
		out.Items[i].Code, out.Items[i].Detail = string(one.No.Code), one.No.Detail
	}
	status := http.StatusOK
	if most > 0 && !b.DryRun {
		c := s.confirm(ctx, most)
		out.Seq, out.Confirmed, out.Nodes = &c.Seq, &c.Confirmed, c.Nodes
		status = statusOf(c.Confirmed)
	}
	return &manyRevokedOutput{Status: status, Body: out}, nil
}

func (f *KeyFilter) filter() *keys.CredentialFilter {
	out := &keys.CredentialFilter{
		Tenant: keys.TenantID(f.Tenant), Kind: keys.Kind(f.Kind), Status: keys.Status(f.Status), API: keys.APIName(f.API),
		Search: f.Search, ExpiresBefore: f.ExpiresBefore.UTC(),
	}
	if f.Owner == string(keys.OwnerTenant) {
		out.OwnerType = keys.OwnerTenant
	} else {
		out.OwnerID = f.Owner
	}
	return out
}
