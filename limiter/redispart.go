package limiter

// storeParts is how many parts a store has at most that can be lost apart.
const storeParts = 16

// Part implements Shared: of a cluster the parts are ranges of slots, each of which is on one server as a
// rule.
func (r *Redis) Part(tag string) int {
	if r.store.cluster == nil {
		return 0
	}
	var room [64]byte
	const slots = 16384
	return slotOf(appendPart(room[:0], tag)) * storeParts / slots
}

// slotOf is the slot of a hash tag: CRC-16/XMODEM modulo 16384 (Redis Cluster specification, "Key
// distribution model").
func slotOf(tag []byte) int {
	crc := uint16(0)
	for _, b := range tag {
		crc ^= uint16(b) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc % 16384)
}
