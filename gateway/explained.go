package gateway

import (
	"bufio"
	"context"
	"net/http"
	"strings"

	"postern/internal/keys"
)

// trialRequest makes the request that a question is about as net/http would read it. What its parser
// refuses is refused here in the guard's name.
func trialRequest(q keys.Question) (*http.Request, *refusal) {
	unreadable := ambiguous("The request cannot be read: its method, path or host has characters that none may have.")
	for _, part := range [...]string{q.Method, q.Path, q.Host} {
		if strings.ContainsAny(part, "\r\n") || part == "" {
			return nil, unreadable
		}
	}
	text := q.Method + " " + q.Path + " HTTP/1.1\r\nHost: " + q.Host + "\r\n\r\n"
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		return nil, unreadable
	}
	r.RemoteAddr = addressOf(q.Address)
	return r, nil
}

// explanation puts a decision into words.
func (c *call) explanation(x *refusal) keys.Explanation {
	e := keys.Explanation{Route: c.routeName(), Credential: keys.CredentialID(c.keyID())}
	if x != nil {
		words := wordsOf(x.decision.Code)
		e.Code = x.decision.Code
		e.Detail, e.Hint = orElse(x.decision.Detail, words.detail), orElse(x.decision.Hint, words.hint)
		if e.Code == keys.MissingCredentials && x.decision.Hint == "" {
			e.Hint = c.route.howTo
		}
		e.RetryAfter = x.retryAfter
	}
	e.Steps = c.explainedSteps(x, e.Detail)
	e.Limits = c.explainedLimits(x)
	if x != nil && c.overlook(x) == nil {
		e.Code, e.WouldRefuse = keys.Admitted, c.would
	}
	return e
}

// explainedSteps tells of each step what it said: those before the last begun one passed.
func (c *call) explainedSteps(x *refusal, detail string) []keys.ExplainedStep {
	steps := make([]keys.ExplainedStep, len(stepNames))
	for i, name := range stepNames {
		s := &steps[i]
		s.Name = name
		switch at := step(i); {
		case at > c.step:
			s.Verdict = keys.StepNotReached
		case at == c.step && x != nil:
			s.Verdict, s.Detail = keys.StepRefused, detail
		case (at == stepCredential || at == stepAuthenticate) && c.route.Public:
			s.Verdict, s.Detail = keys.StepSkipped, "The route is public."
		default:
			s.Verdict, s.Detail = keys.StepPassed, c.passedDetail(at)
		}
	}
	return steps
}

// passedDetail says what a step that passed found.
func (c *call) passedDetail(at step) string {
	switch at {
	case stepRoute:
		if c.route.Observe {
			return "Route " + c.route.Name + ", which only observes."
		}
		return "Route " + c.route.Name + "."
	case stepAuthenticate:
		return "It is " + c.keyID() + "."
	case stepAddress:
		return "Calls from " + c.address.String() + " are allowed."
	case stepScopes:
		need, _ := c.route.methodRule(c.inbound.Method)
		switch {
		case c.route.Public:
			return "The route takes " + c.inbound.Method + "."
		case len(need) == 0:
			return c.inbound.Method + " needs no scope."
		}
		names := make([]string, len(need))
		for i, s := range need {
			names[i] = string(s)
		}
		return c.inbound.Method + " needs " + strings.Join(names, ", ") + "."
	case stepLimits:
		switch {
		case c.set != nil:
			return "Every limit has room."
		case c.principal == nil && len(c.route.Limits) > 0:
			return "Counted by client address, which is not shown here."
		}
		return "There are no limits."
	}
	return ""
}

// explainedLimits tells where the limits stand, also where an earlier step refused, if it is known
// whose they are.
func (c *call) explainedLimits(x *refusal) []keys.LimitState {
	if c.set == nil && x != nil && c.route != nil && c.principal != nil {
		c.peekLimits(context.Background())
	}
	if c.set == nil {
		return nil
	}
	return c.limitStates()
}

// limitStates lists where the limits of the call's set stand.
func (c *call) limitStates() []keys.LimitState {
	list := make([]keys.LimitState, len(c.answer.States))
	for i, state := range c.answer.States {
		l := c.set.checks[i].Limit
		list[i] = keys.LimitState{Name: c.set.names[i], Limit: l.N, Window: l.Label(), Used: state.Used, Retry: state.Retry, Reset: state.Reset,
			Route: c.set.checks[i].Counter.Route}
	}
	return list
}
