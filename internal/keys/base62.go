package keys

import (
	"fmt"
	"io"
)

// digits62 are the digits of base62 in the order of their values.
const digits62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// base62Bytes has a 1 for each digit. To compare bytes with ranges takes five times as long: what a
// secret's next byte is nobody can guess, and the processor neither.
var base62Bytes = func() (t [256]uint8) {
	for _, c := range []byte(digits62) {
		t[c] = 1
	}
	return t
}()

// isBase62 tells whether every byte is a digit of base62.
func isBase62(s string) bool {
	all := uint8(1)
	for i := range len(s) {
		all &= base62Bytes[s[i]]
	}
	return all == 1
}

// appendBase62 appends n in exactly width digits, padded with zeros.
func appendBase62(dst []byte, n uint64, width int) []byte {
	start := len(dst)
	for range width {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; i >= start; i-- {
		dst[i] = digits62[n%62]
		n /= 62
	}
	return dst
}

// appendRandom62 appends n random digits, each of the 62 equally likely: six random bits that are
// 62 or 63 are thrown away, because folding them in would favour two digits.
func appendRandom62(dst []byte, random io.Reader, n int) ([]byte, error) {
	var block [64]byte
	for n > 0 {
		if _, err := io.ReadFull(random, block[:]); err != nil {
			return nil, fmt.Errorf("read random bytes: %w", err)
		}
		for _, b := range block {
			if b &= 63; b < 62 && n > 0 {
				dst = append(dst, digits62[b])
				n--
			}
		}
	}
	return dst, nil
}

// random62 returns n random digits.
func random62(random io.Reader, n int) (string, error) {
	b, err := appendRandom62(make([]byte, 0, n), random, n)
	return string(b), err
}
