package store

import (
	"context"
	"strings"

	"github.com/uptrace/bun"

	"postern/internal/keys"
)

// mostNarrowed is up to how many credentials are picked out first and ordered afterwards. More than so
// many are met often enough by who walks through all of them in their order.
const mostNarrowed = 2500

// narrow finds the ids of the credentials that one part of the filter selects, if there is a part that
// selects few: what else the filter asks for is looked at afterwards. The databases' own planners do
// not know which part that is.
func (r *reader) narrow(ctx context.Context, f keys.CredentialFilter) (ids []keys.CredentialID, few bool, err error) {
	what := sought{text: fold(f.Search), unusedSince: unusedSince(f.UnusedSince)}
	if f.API != "" {
		what.apis = apisColumn([]keys.APIName{f.API})
	}
	if what != (sought{}) && r.index != nil && !strings.Contains(what.text, "\n") {
		if ids, few, err := r.index.find(ctx, r.pool, r.dialect.placeholders, what, mostNarrowed); few || err != nil {
			return ids, few, err
		}
	}
	now := micros(r.at(f.Now))
	for _, part := range []struct {
		given bool
		where string
		value any
	}{
		{f.OwnerID != "", "owner_id = ?", f.OwnerID},
		{f.Status != "" && f.Status != keys.Active && f.Status != keys.Expired, "status <> 'active' AND status = ?", string(f.Status)},
		{f.Kind != "" && f.Kind != keys.APIKey, "kind <> 'api_key' AND kind = ?", string(f.Kind)},
		{f.Status == keys.Expired, "expires_at <= ?", now},
		{!f.ExpiresBefore.IsZero(), "expires_at < ?", micros(f.ExpiresBefore)},
		{f.Tenant != "", "tenant = ?", string(f.Tenant)},
	} {
		if !part.given {
			continue
		}
		q := r.db.NewSelect().Table("credentials").Column("id").Where("deleted = 0").Where(part.where, part.value).Limit(mostNarrowed + 1)
		ids = nil
		if err := q.Scan(ctx, &ids); err != nil {
			return nil, false, err
		}
		if len(ids) <= mostNarrowed {
			return ids, true, nil
		}
	}
	return nil, false, nil
}

// unindexed is a text column that no index serves: which way a list is read is settled before.
func unindexed(column string) bun.Safe { return bun.Safe("(" + column + " || '')") }
