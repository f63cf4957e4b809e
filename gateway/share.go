package gateway

// A call has one of the places in flight, in all and of its client's network, so that neither all
// callers nor one can make the process hold more than it can. What has become a tunnel or an open
// stream lasts for hours and does next to nothing: it moves to a place among those, if there is one.

// enter takes a place in flight. More may enter than there are places: see crowded.
func (c *call) enter() {
	c.gateway.inFlight.Add(1)
	if c.conn != nil && c.conn.from != nil {
		c.conn.from.inFlight.Add(1)
	}
}

// leave gives the place back.
func (c *call) leave() {
	g := c.gateway
	inFlight, held := c.place()
	if c.held {
		held.Add(-1)
		g.held.Add(-1)
		return
	}
	inFlight.Add(-1)
	g.inFlight.Add(-1)
}

// crowded tells whether there was no place for the call.
func (c *call) crowded() bool {
	g := c.gateway
	inFlight, held := c.place()
	return g.inFlight.Load() > int64(g.limits.InFlight) ||
		inFlight.Load() > int64(g.limits.InFlightPerAddress) ||
		c.request.websocket && (g.held.Load() >= int64(g.limits.Tunnels) ||
			held.Load() >= int64(g.limits.ConnectionsPerAddress))
}

// hold moves the call among tunnels and streams. Where those are full it stays where it is.
func (c *call) hold() {
	g := c.gateway
	if c.held {
		return
	}
	inFlight, held := c.place()
	if g.held.Add(1) > int64(g.limits.Tunnels) {
		g.held.Add(-1)
		return
	}
	if held.Add(1) > int64(g.limits.ConnectionsPerAddress) {
		held.Add(-1)
		g.held.Add(-1)
		return
	}
	c.held = true
	inFlight.Add(-1)
	g.inFlight.Add(-1)
}

// place returns the counters of the client's network.
func (c *call) place() (inFlight, held *counter) {
	if c.conn == nil || c.conn.from == nil {
		return nil, nil
	}
	return &c.conn.from.inFlight, &c.conn.from.held
}
