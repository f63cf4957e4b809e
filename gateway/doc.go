// Package gateway is the data path: it decides which requests may pass to an upstream, and passes
// them on.
//
// New builds a Gateway from a Policy (the routes), a Directory (whose key is this), and a
// limiter.Limiter (how much may he still use). Serve runs it on a listener, Swap puts another
// policy in force between two requests, Shutdown drains it. Handler gives the same behaviour to a
// test without a listener.
//
// The order of decisions is the security policy, and stands in one function: decide. A refusal is
// a value and becomes HTTP in one place (refuse.go). An error means that we cannot know, and is
// answered 503, never 401.
//
// What is found out about one request lives in one pooled struct, call, which travels through
// httputil.ReverseProxy in a single context value.
package gateway
