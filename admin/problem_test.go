package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"postern/internal/keys"
)

func TestEndingsBecomeProblems(t *testing.T) {
	refuse := func(c keys.RefusalCode) error {
		return fmt.Errorf("list credentials: %w", &keys.Refusal{Code: c, Detail: "Why not.", Hint: "What next."})
	}
	for _, c := range []struct {
		name   string
		err    error
		status int
		code   string
		logged bool
	}{
		{"sign in", refuse(keys.SignInRequired), 401, "sign_in_required", false},
		{"permission", refuse(keys.PermissionDenied), 403, "permission_denied", false},
		{"keys off", refuse(keys.KeysDisabledHere), 403, "keys_disabled", false},
		{"plan", refuse(keys.PlanNotEligibleHere), 403, "plan_not_eligible", false},
		{"role", refuse(keys.RoleRequired), 403, "role_required", false},
		{"missing", refuse(keys.NotFoundHere), 404, "not_found", false},
		{"maximum", refuse(keys.MaxKeysReached), 409, "max_keys_reached", false},
		{"state", refuse(keys.InvalidState), 409, "invalid_state", false},
		{"elsewhere", refuse(keys.ManagedElsewhere), 409, "managed_elsewhere", false},
		{"conflict", refuse(keys.VersionConflict), 412, "version_conflict", false},
		{"validation", refuse(keys.ValidationFailed), 422, "validation_failed", false},
		{"store", refuse(keys.StoreUnavailableHere), 503, "store_unavailable", true},
		{"full", refuse(keys.StorageFullHere), 507, "storage_full", true},
		{"a refusal nobody told us of", refuse("brand_new"), 500, "internal_error", true},
		{"store's own missing", fmt.Errorf("x: %w", keys.ErrNotFound), 404, "not_found", false},
		{"store's own conflict", fmt.Errorf("x: %w", keys.ErrConflict), 412, "version_conflict", false},
		{"store's own outage", fmt.Errorf("x: %w", keys.ErrStoreUnavailable), 503, "store_unavailable", true},
		{"store's own full", fmt.Errorf("x: %w", keys.ErrStorageFull), 507, "storage_full", true},
		{"store's cursor", fmt.Errorf("x: %w", keys.ErrBadCursor), 422, "validation_failed", false},
		{"too late", context.DeadlineExceeded, 503, "store_unavailable", true},
		{"anything else", errors.New("secret plumbing"), 500, "internal_error", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.registry.fail = c.err
			r := s.do("GET", "/v1/keys", "")
			wantProblem(t, r, c.status, c.code)
			var refusal *keys.Refusal
			if errors.As(c.err, &refusal) && c.status != 500 && (r.object["detail"] != "Why not." || r.object["hint"] != "What next.") {
				t.Errorf("detail or hint lost: %s", r.body)
			}
			if strings.Contains(string(r.body), "plumbing") {
				t.Errorf("the cause is in the answer: %s", r.body)
			}
			if got := strings.Contains(s.log.String(), `"level":"ERROR"`); got != c.logged {
				t.Errorf("logged as error: got %t, want %t\n%s", got, c.logged, s.log)
			}
			if got := r.header.Get("Retry-After"); (got != "") != (c.status == 503) {
				t.Errorf("Retry-After: got %q", got)
			}
		})
	}
}

func TestManagedElsewhereTellsWhere(t *testing.T) {
	s := newSite(t)
	s.registry.fail = &keys.Refusal{Code: keys.ManagedElsewhere, Detail: "It is declared.", Where: "gateway.yaml:41"}
	r := s.do("POST", "/v1/keys/key_000000000001/revoke", "")
	wantProblem(t, r, 409, "managed_elsewhere")
	if r.object["where"] != "gateway.yaml:41" {
		t.Errorf("got %s", r.body)
	}
	if _, has := r.object["limit"]; has {
		t.Errorf("a limit is told where there is none: %s", r.body)
	}
}

func TestEveryCodeHasOneRow(t *testing.T) {
	seen := map[keys.RefusalCode]bool{}
	all := kinds()
	for _, k := range all {
		if seen[k.code] || k.status < 400 || k.title == "" {
			t.Errorf("bad row %+v", k)
		}
		seen[k.code] = true
	}
	if all[len(all)-1].code != internalError {
		t.Error("internal_error is not last")
	}
}
