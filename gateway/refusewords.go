package gateway

import "postern/internal/keys"

// words are what a refusal says to people unless the place that refuses knows better.
type words struct {
	title, detail, hint string
	contact             bool // somebody else has to act, so say who
}

// wordsOf returns the usual texts of a code. invalid_credentials is one answer for malformed,
// unknown and wrong credentials; nothing may tell them apart.
func wordsOf(code keys.Code) words {
	switch code {
	case keys.BadRequest:
		return words{"Bad request", "The request can be read in more than one way.",
			"Send the request in its plain form; nothing was forwarded.", false}
	case keys.HeadersTooLarge:
		return words{"Headers too large", "The request has more than 100 header fields, or more than 32 KiB of them.",
			"Send fewer or shorter headers, cookies above all.", false}
	case keys.BodyTooLarge:
		return words{"Body too large", "The request's body is larger than this route allows.",
			"Send less at once.", false}
	case keys.MissingCredentials:
		return words{"Credentials missing", "This route needs a credential, and the request holds none.",
			"Send an API key as Authorization: Bearer <key>.", false}
	case keys.InvalidCredentials:
		return words{"Credentials not valid", "The credential is not valid.",
			"Check that it was copied completely, and that it is meant for this gateway.", false}
	case keys.CredentialExpired:
		return words{"Credential expired", "The credential has expired.", "Generate a new one.", true}
	case keys.CredentialRevoked:
		return words{"Credential revoked", "The credential was revoked and will not work again.",
			"Generate a new one.", true}
	case keys.CredentialSuspended:
		return words{"Credential suspended", "The credential is suspended.",
			"Ask whoever administers it to resume it.", true}
	case keys.CredentialPending:
		return words{"Credential pending", "The credential is not approved yet.",
			"Wait for the approval; it takes effect at once.", true}
	case keys.CredentialDenied:
		return words{"Credential denied", "The request for this credential was denied.", "", true}
	case keys.KeysDisabled:
		return words{"Keys disabled", "API keys are switched off for this organisation.",
			"An administrator of the organisation can switch them on.", true}
	case keys.PlanNotEligible:
		return words{"Plan not eligible", "The organisation's plan does not include API keys.", "", true}
	case keys.PlanUnavailable:
		return words{"Plan unavailable", "The credential's plan does not exist any more.",
			"The operator of this gateway has to give it another plan.", true}
	case keys.InsufficientScope:
		return words{"Insufficient scope", "The credential may not do this.",
			"Use a credential that holds what is missing, or have it added to this one.", true}
	case keys.IPNotAllowed:
		return words{"Address not allowed", "Calls from this address are not allowed.",
			"Call from an address that is allowed, or have this one added.", true}
	case keys.UpgradeNotAllowed:
		return words{"Upgrade not allowed", "This route does not allow the upgrade to websocket.", "", false}
	case keys.CostExceedsLimit:
		return words{"Cost exceeds limit", "One call costs more than a limit of this credential ever allows.",
			"Waiting does not help; the limit has to be raised.", true}
	case keys.RouteNotFound:
		return words{"Route not found", "There is nothing at this host and path.",
			"Check the host, the path and its case.", false}
	case keys.MethodNotAllowed:
		return words{"Method not allowed", "This route does not take the request's method.",
			"Use one of the methods in Allow.", false}
	case keys.RateLimited:
		return words{"Rate limited", "Too many calls in a short time.",
			"Wait as long as Retry-After says.", false}
	case keys.QuotaExceeded:
		return words{"Quota exceeded", "The calls of this period are used up.",
			"Wait until the period ends, as Retry-After says, or have the limit raised.", true}
	case keys.TooManyFailures:
		return words{"Too many failures", "Too many failed attempts from this address.",
			"Wait as long as Retry-After says, and check the credential.", false}
	case keys.UpstreamUnreachable:
		return words{"Upstream unreachable", "The API behind this gateway cannot be reached.",
			"Try again later.", false}
	case keys.UpstreamBadResponse:
		return words{"Bad response from upstream", "The API behind this gateway sent no valid response.",
			"Try again later.", false}
	case keys.UpstreamTimeout:
		return words{"Upstream timed out", "The API behind this gateway did not answer in time.",
			"The call may have taken effect; check before you repeat it.", false}
	case keys.LimiterUnavailable:
		return words{"Limiter unavailable", "The gateway cannot count this call at the moment.",
			"Try again later.", false}
	case keys.DirectoryUnavailable:
		return words{"Directory unavailable", "The gateway cannot check credentials at the moment.",
			"Try again later.", false}
	case keys.Overloaded:
		return words{"Overloaded", "The gateway serves as many calls as it can.", "Try again later.", false}
	default:
		return words{"Internal error", "Something went wrong in the gateway; the call was not forwarded.",
			"Report the request id to the operator.", true}
	}
}
