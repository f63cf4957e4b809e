package keys

import (
	"strings"
	"time"
)

// RefusalCode is the machine-readable name of a refusal on the control path.
type RefusalCode string

// The refusals of the control path.
const (
	SignInRequired       RefusalCode = "sign_in_required"
	PermissionDenied     RefusalCode = "permission_denied"
	KeysDisabledHere     RefusalCode = "keys_disabled"
	PlanNotEligibleHere  RefusalCode = "plan_not_eligible"
	RoleRequired         RefusalCode = "role_required"
	SelfOnly             RefusalCode = "self_only"
	ReauthRequired       RefusalCode = "reauthentication_required"
	NotFoundHere         RefusalCode = "not_found"
	MaxKeysReached       RefusalCode = "max_keys_reached"
	InvalidState         RefusalCode = "invalid_state"
	ManagedElsewhere     RefusalCode = "managed_elsewhere"
	IdempotencyMismatch  RefusalCode = "idempotency_mismatch"
	VersionConflict      RefusalCode = "version_conflict"
	TooManyFailuresHere  RefusalCode = "too_many_failures"
	ValidationFailed     RefusalCode = "validation_failed"
	StoreUnavailableHere RefusalCode = "store_unavailable"
	StorageFullHere      RefusalCode = "storage_full"
)

// Refusal is the Registry's "no" to what an administrator or developer asked for. It is an error
// so that it ends a transaction; callers find it with errors.As. Any other error means that the
// Registry could not find out.
type Refusal struct {
	Code   RefusalCode
	Detail string // one sentence for people: what and why
	Hint   string // next step, and who can help
	// Fields lists every wrong field, only for ValidationFailed.
	Fields []FieldError
	// Scope (tenant or user) and Limit belong to MaxKeysReached; Where (file:line) to
	// ManagedElsewhere; State and Version to InvalidState of a credential: what it is.
	Scope   string
	Limit   int
	Where   string
	State   Status
	Version int64
	// RetryAfter belongs to TooManyFailuresHere.
	RetryAfter time.Duration
}

// FieldError is one wrong field of an input.
type FieldError struct {
	Field   string // JSON path, as in allowed_ips[1]
	Message string
}

// Error returns the code, the detail and the fields in one line.
func (r *Refusal) Error() string {
	var b strings.Builder
	b.WriteString(string(r.Code))
	if r.Detail != "" {
		b.WriteString(": " + r.Detail)
	}
	for _, f := range r.Fields {
		b.WriteString("; " + f.Field + ": " + f.Message)
	}
	return b.String()
}
