package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/saldo-ledger/saldo/api"
)

// reject is a line of an import that was not posted.
type reject struct {
	Line           int              `json:"line"`
	Outcome        api.BatchOutcome `json:"outcome"` // rejected or failed
	Code           api.ErrorCode    `json:"code"`
	Reason         string           `json:"reason"`
	Hint           string           `json:"hint,omitempty"`
	Transaction    string           `json:"transaction,omitempty"`
	IdempotencyKey string           `json:"idempotency_key,omitempty"`
	Input          string           `json:"input"` // the line as it stands in the file
}

// rejectFile keeps rejects, one a line: in a file, which is made when there is
// a first one, or on a stream, or nowhere.
type rejectFile struct {
	path  string
	stale bool // a file of an earlier run goes away where there are no rejects any more

	stream io.Writer
	before func() // is called before anything goes to the stream

	file *os.File
	out  *bufio.Writer
}

// write adds a reject.
func (f *rejectFile) write(r reject) error {
	switch {
	case f.out != nil:
	case f.path != "":
		file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return rejectError(err)
		}
		f.file, f.out = file, bufio.NewWriter(file)
	case f.stream != nil:
		f.out = bufio.NewWriter(f.stream)
	default:
		return nil
	}
	encoder := json.NewEncoder(f.out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(r)
	if err == nil && f.stream != nil {
		f.before()
		err = f.out.Flush()
	}
	if err != nil {
		return rejectError(err)
	}
	return nil
}

// written is the path of the file where there is one.
func (f *rejectFile) written() string {
	if f.file == nil {
		return ""
	}
	return f.path
}

// close writes out what is left. complete tells whether all rejects were seen.
func (f *rejectFile) close(complete bool) error {
	if f.file == nil {
		if !complete || !f.stale {
			return nil
		}
		if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return rejectError(err)
		}
		return nil
	}
	if err := errors.Join(f.out.Flush(), f.file.Close()); err != nil {
		return rejectError(err)
	}
	return nil
}

func rejectError(err error) error {
	return &Error{
		Status: ExitFailure, Message: fmt.Sprintf("cannot keep the rejects: %v", err), Err: err,
		Hints: []string{"name another place for them with --rejects"},
	}
}
