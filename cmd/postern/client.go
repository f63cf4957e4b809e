package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

// client talks to the admin API of a running gateway.
type client struct {
	base  *url.URL
	token string
	from  string // where the address was found, for error messages
	http  *http.Client
}

// newClient finds the server: --admin-url or POSTERN_ADMIN_URL with POSTERN_ADMIN_TOKEN, else the
// one of this machine by its configuration, with the token in its profile.
func newClient(g *globals) (*client, error) {
	address, from := g.adminURL, "--admin-url"
	if address == "" {
		address, from = lookupEnv(g.env, "POSTERN_ADMIN_URL"), "POSTERN_ADMIN_URL"
	}
	token := lookupEnv(g.env, "POSTERN_ADMIN_TOKEN")
	if address == "" || token == "" {
		here, err := findRunning(g)
		switch {
		case errors.Is(err, os.ErrNotExist) && address != "":
			// Another server is named, and nothing is here.
		case errors.Is(err, os.ErrNotExist):
			return nil, &failure{
				code: exitUsage, err: fmt.Errorf("no server named, and there is no configuration at %s", g.config),
				next: "Run this beside gateway.yaml, or set POSTERN_ADMIN_URL and POSTERN_ADMIN_TOKEN.",
			}
		case err != nil:
			return nil, err
		case address == "":
			address, from = here.adminURL, g.config
			fallthrough
		case address == here.adminURL && token == "":
			// The token goes only to the server it was made for.
			if token == "" {
				if token, err = here.token(); err != nil && !errors.Is(err, os.ErrNotExist) {
					return nil, err
				}
			}
		}
	}
	if token == "" {
		return nil, &failure{
			code: exitNotPermitted, err: errors.New("no admin token"),
			next: "Set POSTERN_ADMIN_TOKEN; `postern tokens create --role operator --config FILE` on the gateway's machine makes one.",
		}
	}
	base, err := url.Parse(address)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, usageError("%s: %q is not an http or https URL", from, address)
	}
	caller, err := g.httpClient(30 * time.Second)
	if err != nil {
		return nil, err
	}
	return &client{base: base, token: token, from: from, http: caller}, nil
}

// problem is the admin API's error answer, as far as a person needs it.
type problem struct {
	Status    int    `json:"status"`
	Title     string `json:"title"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	Hint      string `json:"hint"`
	RequestID string `json:"request_id"`
	Errors    []struct {
		Field   string `json:"field"`
		Message string `json:"message"`
	} `json:"errors"`
}

// do sends one request and decodes a successful answer into out (unless nil).
func (c *client) do(ctx context.Context, method, path string, query url.Values, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("write request: %w", err)
		}
	}
	resp, err := c.request(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return &failure{code: exitUnreachable, err: fmt.Errorf("read the answer of %s: %w", c.base, err)}
	}
	if resp.StatusCode >= 300 {
		return refused(resp.StatusCode, text)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s answered something other than the admin API would: %w", c.base, err)
	}
	return nil
}

// request sends one request and returns whatever is answered; body may be nil.
func (c *client) request(ctx context.Context, method, path string, query url.Values, body []byte) (*http.Response, error) {
	u := c.base.JoinPath(path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.send(req, body)
	if err != nil {
		return nil, &failure{
			code: exitUnreachable, err: fmt.Errorf("no answer from the admin API at %s (from %s): %w", c.base, c.from, err),
			next: "Is the gateway running? Start it with `postern run`.",
		}
	}
	return resp, nil
}

// open asks for a long answer and returns its body once it is known to be the one asked for.
func (c *client) open(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	c.http.Timeout = 0 // it takes as long as it takes
	resp, err := c.request(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, &failure{code: exitUnreachable, err: fmt.Errorf("read the answer of %s: %w", c.base, err)}
	}
	return nil, refused(resp.StatusCode, text)
}

// startPatience is how long a command waits for a server on this machine that does not listen yet:
// `postern run &` and a command after it are typed as one block.
const startPatience = 3 * time.Second

// send sends the request, and again for startPatience while a loopback address refuses the
// connection: then nothing of the request has reached anybody. Elsewhere a refusal is final.
func (c *client) send(req *http.Request, body []byte) (*http.Response, error) {
	const pause = 50 * time.Millisecond
	for begin := time.Now(); ; {
		if body != nil {
			req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		}
		resp, err := c.http.Do(req)
		if !errors.Is(err, syscall.ECONNREFUSED) || !isLoopback(c.base.Hostname()) || time.Since(begin) > startPatience {
			return resp, err
		}
		select {
		case <-req.Context().Done():
			return nil, req.Context().Err()
		case <-time.After(pause):
		}
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// refused turns an error answer into a failure with its exit code.
func refused(status int, text []byte) error {
	f := &failure{code: exitFailed}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		f.code = exitNotPermitted
	case http.StatusNotFound:
		f.code = exitNotFound
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		f.code = exitUnreachable
	}
	var p problem
	if err := json.Unmarshal(text, &p); err != nil || p.Code == "" {
		f.err = fmt.Errorf("the server answered %d %s", status, http.StatusText(status))
		f.next = "Is this really the admin API?"
		return f
	}
	var b strings.Builder
	b.WriteString(p.Code + ": " + p.Detail)
	for _, e := range p.Errors {
		fmt.Fprintf(&b, "\n  %s: %s", e.Field, e.Message)
	}
	if p.Code == "internal_error" && p.RequestID != "" {
		fmt.Fprintf(&b, " (request id %s, see the gateway's log)", p.RequestID)
	}
	f.err, f.next = errors.New(b.String()), p.Hint
	return f
}

func lookupEnv(env []string, name string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(env[i], name+"="); ok {
			return value
		}
	}
	return ""
}
