package admin

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"time"
)

// The types of downloads.
const (
	jsonLines      = "application/jsonl"
	commaSeparated = "text/csv"
)

// downloadPatience is how long the other end may take to read each 64 KiB.
const downloadPatience = 30 * time.Second

// download is an answer that is made while it is sent, however long that takes.
type download struct {
	contentType string
	file        string // name for browsers; ASCII without quotes
	write       func(context.Context, io.Writer) error
}

// send sends it. Where it cannot be finished the connection is torn, so that half of it does not
// look whole.
func (d *download) send(ctx context.Context, w http.ResponseWriter) {
	w.Header().Set("Content-Type", d.contentType)
	w.Header().Set("Content-Disposition", `attachment; filename="`+d.file+`"`)
	w.WriteHeader(http.StatusOK)
	out := bufio.NewWriterSize(steadyWriter{w}, 64<<10)
	err := d.write(ctx, out)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		callOf(ctx).cause = err
		panic(http.ErrAbortHandler)
	}
}

// steadyWriter gives each write its own time, in place of one for the whole answer.
type steadyWriter struct{ http.ResponseWriter }

func (w steadyWriter) Write(b []byte) (int, error) {
	// Best effort: a writer without deadlines is a test's.
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(downloadPatience))
	return w.ResponseWriter.Write(b)
}
