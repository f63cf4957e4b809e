package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// reloadStatus is what a gateway's metrics say of its last reload.
type reloadStatus struct{ successful, timestamp float64 }

// reloadMetric reads it; false when nobody can be asked.
func reloadMetric(ctx context.Context, g *globals) (reloadStatus, bool) {
	address, err := healthAddress(g)
	if err != nil {
		return reloadStatus{}, false
	}
	base, err := url.Parse(address)
	if err != nil {
		return reloadStatus{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("/metrics").String(), nil)
	if err != nil {
		return reloadStatus{}, false
	}
	caller, err := g.httpClient(0)
	if err != nil {
		return reloadStatus{}, false
	}
	resp, err := caller.Do(req)
	if err != nil {
		return reloadStatus{}, false
	}
	defer resp.Body.Close()
	var s reloadStatus
	found := 0
	for lines := bufio.NewScanner(io.LimitReader(resp.Body, 16<<20)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		to := map[string]*float64{
			"postern_config_last_reload_successful":                &s.successful,
			"postern_config_last_reload_success_timestamp_seconds": &s.timestamp,
		}[name]
		if to == nil {
			continue
		}
		if *to, err = strconv.ParseFloat(value, 64); err == nil {
			found++
		}
	}
	return s, found == 2
}
