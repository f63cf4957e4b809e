package main

import (
	"errors"
	"fmt"
	"time"
)

// Ready implements admin.Health.
func (p *program) Ready() error {
	if !p.loaded.Load() {
		return errors.New("the keys are being loaded")
	}
	if p.shares.wait() {
		return errors.New("the other gateways are making room for this one's share of the limits")
	}
	return p.gateway.Ready()
}

// Degraded implements admin.Health.
func (p *program) Degraded() []string {
	degraded := p.reloader.degraded()
	for _, c := range p.certificates {
		degraded = append(degraded, c.Degraded()...)
	}
	if problem := p.saved.degraded(); problem != "" {
		degraded = append(degraded, problem)
	}
	if problem := lossOf(p.failover); problem != "" {
		degraded = append(degraded, problem)
	}
	if p.registry == nil {
		return degraded
	}
	degraded = append(degraded, p.fleet.Degraded()...)
	const late = 5 * time.Second
	// Not by Stats, which counts every key: the first probe would wait for that.
	if lag := p.directory.Lag(p.now()); lag > late {
		degraded = append(degraded, fmt.Sprintf("the database was last read %s ago; calls are answered by what is known since then, and changes are refused", lag.Round(time.Second)))
	}
	if forged := p.directory.Forged(); forged > 0 {
		degraded = append(degraded, fmt.Sprintf("%d stored keys were altered behind Postern's back and are refused; the log names them", forged))
	}
	return degraded
}
