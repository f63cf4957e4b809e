package gateway

import (
	"crypto/x509"
	"testing"
	"time"
)

func TestCertificateLife(t *testing.T) {
	c := &x509.Certificate{NotBefore: certificateBegin, NotAfter: certificateBegin.Add(90 * time.Hour)}
	for _, tt := range []struct {
		at   time.Duration
		want certificateLife
	}{
		{-time.Second, certificateOver}, {0, certificateFresh}, {60*time.Hour - time.Second, certificateFresh}, {60 * time.Hour, certificateDue},
		{81*time.Hour - time.Second, certificateDue}, {81 * time.Hour, certificateClosing}, {90*time.Hour - time.Second, certificateClosing},
		{90 * time.Hour, certificateOver},
	} {
		if got := lifeOf(c, certificateBegin.Add(tt.at)); got != tt.want {
			t.Errorf("after %s of 90h: got %d, want %d", tt.at, got, tt.want)
		}
	}
}
