package gateway

import (
	"crypto/x509"
	"fmt"
	"time"
)

// certificateLife is how far a certificate is through the time it is valid for.
type certificateLife int

// The parts of a certificate's life. It should be renewed when two thirds are over.
const (
	certificateFresh   certificateLife = iota
	certificateDue                     // two thirds are over
	certificateClosing                 // a tenth is left
	certificateOver                    // it has ended, or not begun
)

// lifeOf tells how far a certificate is at now.
func lifeOf(c *x509.Certificate, now time.Time) certificateLife {
	whole, left := c.NotAfter.Sub(c.NotBefore), c.NotAfter.Sub(now)
	switch {
	case left <= 0, now.Before(c.NotBefore):
		return certificateOver
	case left <= whole/10:
		return certificateClosing
	case left <= whole/3:
		return certificateDue
	}
	return certificateFresh
}

// degradedLine says what is wrong with a certificate; "" when it is as it should be.
func degradedLine(name string, c *x509.Certificate, now time.Time, failing bool) string {
	ends := c.NotAfter.UTC().Format(time.RFC3339)
	switch life := lifeOf(c, now); {
	case life == certificateOver:
		return fmt.Sprintf("the certificate of %s is not valid (%s to %s), and clients refuse it", name, c.NotBefore.UTC().Format(time.RFC3339), ends)
	case life == certificateClosing:
		return fmt.Sprintf("the certificate of %s ends on %s and has not been renewed", name, ends)
	case life == certificateDue && failing:
		return fmt.Sprintf("the certificate of %s ends on %s, and its renewal fails; the log says why", name, ends)
	}
	return ""
}
