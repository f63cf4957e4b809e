// Package admin is the control path: the REST API by which keys and admin tokens are made, seen and
// ended, and the probes that tell whether this node serves.
//
// New returns the whole admin listener. Probes returns /livez, /readyz and /metrics alone, for a
// listener that a kubelet or Prometheus reaches while the admin listener stays on loopback. Neither
// opens a socket or sets server limits; the program does.
//
// What an endpoint is stands in one table, routes.go: method, path, the permission it needs, its
// handler. A request takes the same steps everywhere, written out in serve (server.go) and admit
// (sign_in.go, input.go): security headers, cross-origin check, route, sign-in, permission, strict
// reading of the input, and then the handler in the file named after what it does. Handlers decide
// nothing: every rule is the Registry's, and every "no" becomes HTTP in problem.go.
package admin
