package config

// Later stands for a documented setting that this version does not have. It must be absent, or
// empty all the way down, so that a file written for a later version never half works.
type Later struct{}

func (*Later) decode(d *decoder, n *node, p path) {
	if !n.empty() {
		d.mask(n) // what is not read may hold secrets
		d.wrongKey(p, "is not available in this version", "remove it, or leave it empty")
	}
}
