package keys

import (
	"net/netip"
	"time"
)

// Question asks how a call would be decided. It is asked of the data path, which answers by the steps
// of a real request and changes nothing.
type Question struct {
	Key     CredentialID // as if its text had been shown; ""
	Secret  Secret       // the text itself; neither: a call without a credential
	Method  string
	Host    string
	Path    string // of the request target, perhaps with a query
	Address netip.Addr
	// Tenant asks with the eyes of one organisation: others' credentials are unknown, and what was
	// counted by client address, which is nobody's, is left out. "": with the provider's.
	Tenant TenantID
}

// Explanation is how a call would be decided now.
type Explanation struct {
	Decision
	// WouldRefuse is why the call would be refused if its route did not only observe; Code is then
	// Admitted, and Detail and Hint are the refusal's.
	WouldRefuse Code
	RetryAfter  time.Duration // for what frees by itself; else 0
	Route       string        // "" when none was found
	Credential  CredentialID  // whose the call would be; "" when nobody's
	Steps       []ExplainedStep
	Limits      []LimitState // that would be asked, as they stand before the call
}

// ExplainedStep is one step of a decision.
type ExplainedStep struct {
	Name    string
	Verdict Verdict
	Detail  string
}

// Verdict is what a step said.
type Verdict string

// The verdicts.
const (
	StepPassed     Verdict = "passed"
	StepRefused    Verdict = "refused"
	StepSkipped    Verdict = "skipped"     // the route does not ask for it
	StepNotReached Verdict = "not reached" // an earlier one refused
)

// LimitState is where one limit stands.
type LimitState struct {
	Name   string // level-window, as in credential-day
	Route  string // whose limit it is; "" for the plan's
	Limit  int64
	Window string // as in s, 10s, day
	Used   int64
	Retry  time.Duration // until there is room for the call; 0 now
	Reset  time.Duration // until the oldest unit leaves or the period ends; 0 if unused
}

// MayExplain puts a question into the bounds of what the actor may learn: within an organisation he
// asks with its eyes.
func (r *Registry) MayExplain(a Actor, q Question) (Question, error) {
	if !a.Permissions.Has(ExplainDecision) {
		return Question{}, r.denied(ExplainDecision)
	}
	q.Tenant = a.Tenant
	return q, nil
}

// ByID returns a credential as the data path sees it, and what whoever showed its text would be told
// at now; nil when there is none. Nothing was proved: this is for explanations.
func (d *Directory) ByID(id CredentialID, now time.Time) (*Principal, Code) {
	if !d.mayAnswer(now) {
		return nil, DirectoryUnavailable
	}
	e := d.ids.find(id)
	if e == nil {
		return nil, InvalidCredentials
	}
	now = d.storeTime(now)
	if e.status == entryActive && !e.liveSecret(now) {
		return &e.Principal, CredentialExpired
	}
	return &e.Principal, e.verdict(now)
}

// ByText returns whose text it is, nil for nobody's, so that an explanation can show it together with
// the id that belongs to it.
func (d *Directory) ByText(text string) *Principal {
	if kind := d.format.Parse(text).Kind; kind == TokenText || kind == NotOurs && (!d.acceptImported.Load() || text == "") {
		return nil
	}
	if e, _ := d.find(text); e != nil {
		return &e.Principal
	}
	return nil
}

// liveSecret tells whether one of the secrets has not ended.
func (e *entry) liveSecret(now time.Time) bool {
	live := func(s *entrySecret) bool {
		return s.digest != Digest{} && (s.expires == 0 || now.UnixMicro() < s.expires)
	}
	return live(&e.first) || e.second != nil && live(&e.second.entrySecret)
}
