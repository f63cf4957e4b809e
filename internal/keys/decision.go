package keys

import "net/http"

// Code is the machine-readable name of a refusal on the gateway; "" means admitted.
type Code string

// The refusals of the data path. The set is closed: clients and metrics rely on it.
const (
	Admitted             Code = ""
	BadRequest           Code = "bad_request"
	HeadersTooLarge      Code = "headers_too_large"
	BodyTooLarge         Code = "body_too_large"
	MissingCredentials   Code = "missing_credentials"
	InvalidCredentials   Code = "invalid_credentials"
	CredentialExpired    Code = "credential_expired"
	CredentialRevoked    Code = "credential_revoked"
	CredentialSuspended  Code = "credential_suspended"
	CredentialPending    Code = "credential_pending"
	CredentialDenied     Code = "credential_denied"
	KeysDisabled         Code = "keys_disabled"
	PlanNotEligible      Code = "plan_not_eligible"
	PlanUnavailable      Code = "plan_unavailable"
	InsufficientScope    Code = "insufficient_scope"
	IPNotAllowed         Code = "ip_not_allowed"
	UpgradeNotAllowed    Code = "upgrade_not_allowed"
	CostExceedsLimit     Code = "cost_exceeds_limit"
	RouteNotFound        Code = "route_not_found"
	MethodNotAllowed     Code = "method_not_allowed"
	RateLimited          Code = "rate_limited"
	QuotaExceeded        Code = "quota_exceeded"
	TooManyFailures      Code = "too_many_failures"
	UpstreamUnreachable  Code = "upstream_unreachable"
	UpstreamBadResponse  Code = "upstream_bad_response"
	UpstreamTimeout      Code = "upstream_timeout"
	LimiterUnavailable   Code = "limiter_unavailable"
	DirectoryUnavailable Code = "directory_unavailable"
	Overloaded           Code = "overloaded"
	InternalError        Code = "internal_error"
)

// Status returns the HTTP status that a refusal is answered with, 200 for Admitted.
func (c Code) Status() int {
	switch c {
	case Admitted:
		return http.StatusOK
	case BadRequest:
		return http.StatusBadRequest
	case HeadersTooLarge:
		return http.StatusRequestHeaderFieldsTooLarge
	case BodyTooLarge:
		return http.StatusRequestEntityTooLarge
	case MissingCredentials, InvalidCredentials, CredentialExpired, CredentialRevoked,
		CredentialSuspended, CredentialPending, CredentialDenied:
		return http.StatusUnauthorized
	case KeysDisabled, PlanNotEligible, PlanUnavailable, InsufficientScope, IPNotAllowed,
		UpgradeNotAllowed, CostExceedsLimit:
		return http.StatusForbidden
	case RouteNotFound:
		return http.StatusNotFound
	case MethodNotAllowed:
		return http.StatusMethodNotAllowed
	case RateLimited, QuotaExceeded, TooManyFailures:
		return http.StatusTooManyRequests
	case UpstreamUnreachable, UpstreamBadResponse:
		return http.StatusBadGateway
	case UpstreamTimeout:
		return http.StatusGatewayTimeout
	case LimiterUnavailable, DirectoryUnavailable, Overloaded:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// Decision is the data path's answer to "may this call pass?": the verdict and what to tell the
// caller. It says nothing about HTTP beyond Code.Status.
type Decision struct {
	Code Code
	// Detail is one sentence for the caller: what is wrong. It never holds a secret, nor more
	// than he sent or proved himself.
	Detail string
	// Hint is the next step, or empty.
	Hint string
}
