package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"postern/internal/keys"
)

// credentialRow is what reading a credential takes.
type credentialRow struct {
	bun.BaseModel `bun:"table:credentials"`

	ChangeSeq keys.Seq
	Deleted   int
	Record    []byte
	ID        keys.CredentialID
	Version   int64
	Details   string
}

var credentialColumns = []string{"change_seq", "deleted", "record", "id", "version", "details"}

// details is the half of a credential that decides nothing.
type details struct {
	Name            string            `json:"name,omitempty"`
	Description     string            `json:"description,omitempty"`
	ApplicationType string            `json:"application_type,omitempty"`
	RedirectURIs    []string          `json:"redirect_uris,omitempty"`
	Metadata        map[string]string `json:"metadata,omitempty"`
	ExternalID      string            `json:"external_id,omitempty"`
	Reason          string            `json:"reason,omitempty"`
	CreatedBy       string            `json:"created_by,omitempty"`
}

// credential puts the two halves together.
func (row *credentialRow) credential() (keys.Credential, error) {
	c, err := parseRecord(row.Record, nil)
	if err == nil && c.ID != row.ID {
		// A valid record under another id would let one credential pass for another in lists.
		err = fmt.Errorf("%w: it is that of %q", errDamaged, c.ID)
	}
	if err != nil {
		return keys.Credential{}, fmt.Errorf("credential %q: %w", row.ID, err)
	}
	var d details
	if err := json.Unmarshal([]byte(row.Details), &d); err != nil {
		return keys.Credential{}, fmt.Errorf("credential %q: %w: details: %w", row.ID, errDamaged, err)
	}
	c.Name, c.Description, c.ApplicationType, c.ExternalID = d.Name, d.Description, d.ApplicationType, d.ExternalID
	c.RedirectURIs, c.Metadata, c.Reason, c.CreatedBy = d.RedirectURIs, d.Metadata, d.Reason, d.CreatedBy
	return c, nil
}

// husk stands for a row that cannot be read, where one bad row must not hide the others: its id
// and version and no MAC, so that nobody gets in by it and whoever checks MACs learns of it.
func (row *credentialRow) husk() keys.Credential {
	c := keys.Credential{ID: row.ID, Version: row.Version, Status: keys.Revoked}
	if row.Deleted != 0 {
		c.DeletedAt = time.Unix(0, 0).UTC()
	}
	return c
}

// Credential implements keys.Reader.
func (r *reader) Credential(ctx context.Context, id keys.CredentialID, tombstones bool) (keys.Credential, error) {
	doing := fmt.Sprintf("read credential %q", id)
	if odd(string(id)) {
		return keys.Credential{}, fmt.Errorf("%s: %w", doing, keys.ErrNotFound)
	}
	var row credentialRow
	q := r.db.NewSelect().Model(&row).Column(credentialColumns...).Where("id = ?", string(id))
	if !tombstones {
		q.Where("deleted = 0")
	}
	if err := q.Scan(ctx); err != nil {
		return keys.Credential{}, r.fail(ctx, doing, err)
	}
	c, err := row.credential()
	if err != nil {
		return keys.Credential{}, fmt.Errorf("%s: %w", doing, err)
	}
	return c, nil
}

// CredentialByDigest implements keys.Reader.
func (r *reader) CredentialByDigest(ctx context.Context, d keys.Digest) (keys.Credential, error) {
	const doing = "find credential by digest"
	taken, err := r.db.NewSelect().Table("secrets").Where("digest = ?", d[:]).Exists(ctx)
	if err != nil {
		return keys.Credential{}, r.fail(ctx, doing, err)
	}
	if !taken {
		return keys.Credential{}, fmt.Errorf("%s: %w", doing, keys.ErrNotFound)
	}
	// The digest stands in the record as it is. Some at a time: a database whose statements are limited
	// in time would not look at a million in one.
	newest, err := head(ctx, r.db)
	if err != nil {
		return keys.Credential{}, r.fail(ctx, doing, err)
	}
	for after := keys.Seq(0); ; after += digestChunk {
		q, last := r.db.NewSelect(), after+digestChunk >= newest
		var rows []credentialRow
		q.Model(&rows).Column(credentialColumns...).Where(r.dialect.contains, d[:]).Where("change_seq > ?", int64(after))
		if !last { // changes of the running transaction are beyond the head
			q.Where("change_seq <= ?", int64(after+digestChunk))
		}
		if err := q.Scan(ctx); err != nil {
			return keys.Credential{}, r.fail(ctx, doing, err)
		}
		for i := range rows {
			c, err := rows[i].credential()
			if err != nil {
				continue // it has no secret that anybody could use
			}
			if slices.ContainsFunc(c.Secrets, func(s keys.StoredSecret) bool { return s.Digest == d }) {
				return c, nil
			}
		}
		if last {
			return keys.Credential{}, fmt.Errorf("%s: %w", doing, keys.ErrNotFound)
		}
	}
}

// digestChunk is how many change numbers are looked at for a digest at a time.
const digestChunk = 100_000

// CountCredentials implements keys.Reader.
func (r *reader) CountCredentials(ctx context.Context, f keys.CountFilter) (int, error) {
	if odd(string(f.Tenant), string(f.OwnerType), f.OwnerID) {
		return 0, nil
	}
	q := r.db.NewSelect().Table("credentials").Where("deleted = 0").Where("tenant = ?", string(f.Tenant))
	if f.OwnerID != "" {
		q.Where("owner_type = ?", string(f.OwnerType)).Where("owner_id = ?", f.OwnerID)
	}
	n, err := q.Where("status IN ('active', 'pending', 'suspended')").
		Where("expires_at > ?", micros(r.at(f.Now))).Count(ctx)
	if err != nil {
		return 0, r.fail(ctx, "count credentials", err)
	}
	return int(n), nil
}

// at is a filter's time, or the clock's where none was given.
func (r *reader) at(t time.Time) time.Time {
	if t.IsZero() {
		return r.now()
	}
	return t
}

const (
	insertCredential = `INSERT INTO credentials (change_seq, deleted, record, id, version, details, tenant, kind, owner_type, owner_id,
		owner_key, name_key, apis, status, managed, created_at, updated_at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`
	updateCredential = `UPDATE credentials SET change_seq = ?, deleted = ?, record = ?, id = ?, version = ?, details = ?, tenant = ?,
		kind = ?, owner_type = ?, owner_id = ?, owner_key = ?, name_key = ?, apis = ?, status = ?, managed = ?, created_at = ?,
		updated_at = ?, expires_at = ? WHERE id = ? AND version = ?`
)

// PutCredential implements keys.Tx.
func (t *transaction) PutCredential(ctx context.Context, c keys.Credential) error {
	if err := t.putCredential(ctx, &c); err != nil {
		return t.fail(ctx, fmt.Sprintf("write credential %q", c.ID), err)
	}
	return nil
}

func (t *transaction) putCredential(ctx context.Context, c *keys.Credential) error {
	if c.Version < 1 {
		return fmt.Errorf("version %d: a new record has version 1", c.Version)
	}
	args, err := credentialArgs(c, t.next+1)
	if err != nil {
		return err
	}
	query, none := insertCredential, keys.ErrDuplicate
	var old []keys.StoredSecret
	if c.Version > 1 {
		query, none, args = updateCredential, keys.ErrConflict, append(args, string(c.ID), c.Version-1)
		if old, err = t.storedSecrets(ctx, c.ID, c.Version-1); err != nil {
			return err
		}
	}
	// The digests first: when one is taken, or the row is refused, giving them back undoes it all.
	added := without(c.Secrets, old)
	if err := t.takeDigests(ctx, added); err != nil {
		return err
	}
	n, err := t.exec(ctx, query, args...)
	if err != nil {
		return err
	}
	if n == 0 {
		return errors.Join(none, t.giveDigests(ctx, added))
	}
	t.number()
	return t.giveDigests(ctx, without(old, c.Secrets))
}

// credentialArgs are the values of a row in the order that both statements above have them,
// with the change number seq.
func credentialArgs(c *keys.Credential, seq keys.Seq) ([]any, error) {
	record, err := appendRecord(make([]byte, 0, 512), c)
	if err != nil {
		return nil, err
	}
	rest, err := json.Marshal(details{
		c.Name, c.Description, c.ApplicationType, c.RedirectURIs, c.Metadata, c.ExternalID, c.Reason, c.CreatedBy,
	})
	if err != nil {
		return nil, err
	}
	deleted, managed, expires := int64(0), int64(0), int64(math.MaxInt64)
	if !c.DeletedAt.IsZero() {
		deleted = 1
	}
	if c.ManagedBy != "" {
		managed = 1
	}
	if !c.ExpiresAt.IsZero() {
		expires = micros(c.ExpiresAt)
	}
	args := make([]any, 0, 20)
	return append(args, int64(seq), deleted, record, string(c.ID), c.Version, string(rest), string(c.Tenant), string(c.Kind),
		string(c.Owner.Type), c.Owner.ID, fold(c.Owner.Name), fold(c.Name), apisColumn(c.APIs), string(c.Status), managed,
		micros(c.CreatedAt), micros(c.UpdatedAt), expires), nil
}

// apisColumn is the names with a space before and after each, so that one is found as " name ".
func apisColumn(apis []keys.APIName) string {
	if len(apis) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteByte(' ')
	for _, a := range apis {
		b.WriteString(string(a))
		b.WriteByte(' ')
	}
	return b.String()
}
