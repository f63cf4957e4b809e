package gateway

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// long tells whether the long forms of tests are wanted.
func long() bool { return os.Getenv("POSTERN_LONG") == "1" }
