package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// ndjson is the type of a text that has a JSON object on each line.
const ndjson = "application/x-ndjson"

// Limits on streams. They bound the memory of a stream, not its length.
const (
	maxLine       = 64 << 10 // bytes
	maxChunk      = 1 << 20  // bytes of lines that are posted at once, or wait for that
	maxChunkLines = 500
	maxPiece      = 32 << 10 // bytes that are written at once
)

// postStream posts the transactions of a stream of lines, and answers each line
// with one, while the request is still being read.
//
// There is no timer: while one chunk is being made durable, the next one
// gathers. A client that sends one line and waits for its outcome has a chunk
// for each; one that sends a file has full ones.
func (s *server) postStream(w http.ResponseWriter, r *http.Request, key *ledger.Key) error {
	if !s.streams.enter(key.Account) {
		return errManyBatches
	}
	defer s.streams.leave(key.Account)
	control := http.NewResponseController(w)
	// HTTP/1 would otherwise read the whole request before the reply begins.
	control.EnableFullDuplex() //nolint:errcheck // What does not know of it needs none.
	in := newLines(r.Body, control, s.limits.idle)
	defer in.stop()
	out := newOutflow(w, control, s.limits.idle)
	header := w.Header()
	header.Set("Content-Type", ndjson)
	header.Set("Cache-Control", "no-store")
	if r.ProtoMajor == 1 {
		// The reply may end before the request does. Since it begins before that,
		// net/http does not notice, and would run what the client sends as the rest
		// of the body as a request of its own.
		header.Set("Connection", "close")
	}
	if r.Header.Get("Expect") == "" {
		// A client may wait for the head of the reply before it sends a line. One
		// that waits to be told to send is told so by the first reading instead.
		out.send() //nolint:errcheck // What follows fails too.
	}
	for chunk := 0; in.wait(); chunk++ {
		var err error
		if key, err = s.readmit(r, key, chunk); err != nil {
			s.breakOff(r.Context(), out, in, err)
			return nil
		}
		// What was read is posted even if the client has gone since, so that its
		// outcome is never in doubt.
		if err := s.postLines(context.WithoutCancel(r.Context()), out, key, in.take()); err != nil {
			return nil // the client is gone, and sends again what it has no outcome of
		}
	}
	if err := in.failure(); err != nil {
		s.breakOff(r.Context(), out, in, err)
	}
	return nil
}

// readmit counts every chunk but the first as a further request, and reads the
// key again: one that was revoked while the stream goes on posts no more, and a
// new cap holds.
func (s *server) readmit(r *http.Request, key *ledger.Key, chunk int) (*ledger.Key, error) {
	if chunk > 0 {
		if err := s.gate.await(r.Context(), key.Account); err != nil {
			return nil, err
		}
	}
	credentials, err := credentialsOf(r)
	if err != nil {
		return nil, err
	}
	key, _, err = s.engine.Authenticate(r.Context(), credentials)
	return key, err
}

// postLines posts the lines of a chunk and answers each. Its error says that the
// client takes no more.
func (s *server) postLines(ctx context.Context, out *outflow, key *ledger.Key, chunk []unread) error {
	results, _ := s.postEach(ctx, key, "line", chunk) // each result has the error too
	encoder := newEncoder(out)
	for i := range results {
		if err := encoder.Encode(s.showResult(ctx, chunk[i].index, &results[i])); err != nil {
			return err
		}
	}
	return out.send()
}

// breakOff ends a stream before its end: the first line that is not posted is
// answered with the reason.
func (s *server) breakOff(ctx context.Context, out *outflow, in *lines, reason error) {
	result := engine.Result{Err: reason}
	if err := newEncoder(out).Encode(s.showResult(ctx, in.next(), &result)); err != nil {
		return
	}
	out.send() //nolint:errcheck // A client that went away cannot be told so.
	linger(out.pieces.w)
}

// linger has net/http leave the client some time to read the end of the reply
// before it closes the connection: a client that still sends would lose what it
// has not read by then. Only a body that is over its limit has it do so.
func linger(w http.ResponseWriter) {
	for wrapped, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok; wrapped, ok = w.(interface{ Unwrap() http.ResponseWriter }) {
		w = wrapped.Unwrap()
	}
	http.MaxBytesReader(w, io.NopCloser(strings.NewReader("x")), 0).Read(make([]byte, 1)) //nolint:errcheck // The error is what is wanted.
}

// lines reads a stream ahead, as far as one chunk may go.
type lines struct {
	body    io.Reader
	control *http.ResponseController
	idle    time.Duration
	reading sync.WaitGroup
	due     time.Time // when the next line must be there

	mu      sync.Mutex
	moved   sync.Cond // something below has changed
	waiting []unread
	size    int   // bytes of what waits
	count   int   // lines that were read
	end     error // why there are no more; io.EOF where the stream is complete
	stopped bool  // nobody takes any more
}

// newLines starts to read a stream. The caller stops it.
func newLines(body io.Reader, control *http.ResponseController, idle time.Duration) *lines {
	l := &lines{body: body, control: control, idle: idle}
	l.moved.L = &l.mu
	l.reading.Go(l.readAhead)
	return l
}

// stop ends the reading, and returns when it has ended: the body must not be
// read any more when a handler returns.
func (l *lines) stop() {
	l.mu.Lock()
	l.stopped = true
	if l.end == nil {
		l.control.SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // What has no deadlines does not wait for a network.
	}
	l.moved.Broadcast()
	l.mu.Unlock()
	l.reading.Wait()
}

var errLongLine = ledger.Errorf(ledger.TooLarge, "the line is over %d bytes", maxLine)

func (l *lines) readAhead() {
	in := bufio.NewReaderSize(l, maxLine+1) // with the end of the line
	empty := false
	for index := 0; ; index++ {
		if !empty { // empty lines alone do not keep a stream open
			l.due = time.Now().Add(l.idle)
		}
		text, err := in.ReadSlice('\n')
		line := unread{index: index, text: bytes.Clone(bytes.TrimSpace(text))}
		if errors.Is(err, bufio.ErrBufferFull) {
			line = unread{index: index, err: errLongLine}
		}
		empty = len(line.text) == 0 && line.err == nil
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = in.ReadSlice('\n')
		}
		// The last line needs no end, unless the stream broke off.
		if err != nil && !errors.Is(err, io.EOF) || !l.put(line) || err != nil {
			l.finish(err)
			return
		}
	}
}

// put adds a line as soon as there is room for it; false where nobody wants it.
// An empty line counts, and is nothing to be posted.
func (l *lines) put(line unread) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.stopped && (len(l.waiting) == maxChunkLines || l.size+len(line.text) > maxChunk) {
		l.moved.Wait()
	}
	l.count++
	if len(line.text) > 0 || line.err != nil {
		l.waiting = append(l.waiting, line)
		l.size += len(line.text)
		l.moved.Broadcast()
	}
	return !l.stopped
}

func (l *lines) finish(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end = err
	l.moved.Broadcast()
}

// Read reads what the client sends. It must send a whole line within the idle
// time, which does not go on while it is Saldo that does not get on.
func (l *lines) Read(p []byte) (int, error) {
	l.mu.Lock()
	stopped := l.stopped
	if !stopped {
		l.control.SetReadDeadline(l.due) //nolint:errcheck // See stop.
	}
	l.mu.Unlock()
	if stopped {
		return 0, io.ErrClosedPipe
	}
	return l.body.Read(p)
}

// wait waits for lines, and tells whether there are any.
func (l *lines) wait() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.waiting) == 0 && l.end == nil {
		l.moved.Wait()
	}
	return len(l.waiting) > 0
}

// take takes what is there.
func (l *lines) take() []unread {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.waiting
	l.waiting, l.size = nil, 0
	l.moved.Broadcast()
	return taken
}

// next is the index of the first line that was not taken.
func (l *lines) next() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) > 0 {
		return l.waiting[0].index
	}
	return l.count
}

// failure is why a stream has ended too early; nil where it is complete.
func (l *lines) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case errors.Is(l.end, io.EOF):
		return nil
	case errors.Is(l.end, os.ErrDeadlineExceeded):
		return ledger.Errorf(ledger.InvalidRequest, "no line came for %s", l.idle).WithHint("send what is left in another request")
	default:
		return ledger.Errorf(ledger.InvalidRequest, "the request broke off").WithHint("send what is left again, with the same idempotency keys")
	}
}

// outflow writes a reply of any length to a client that may be slow, but must
// take something within the idle time.
type outflow struct {
	*bufio.Writer
	pieces *pieces
}

func newOutflow(w http.ResponseWriter, control *http.ResponseController, idle time.Duration) *outflow {
	p := &pieces{w: w, control: control, idle: idle}
	return &outflow{Writer: bufio.NewWriterSize(p, maxPiece), pieces: p}
}

// send sends what was written so far.
func (o *outflow) send() error {
	if err := o.Flush(); err != nil {
		return err
	}
	return o.pieces.flush()
}

// pieces writes a reply in pieces, and gives the client the idle time for each.
type pieces struct {
	w       http.ResponseWriter
	control *http.ResponseController
	idle    time.Duration
	begun   bool // some of the reply is on its way
}

func (p *pieces) Write(text []byte) (written int, err error) {
	p.begun = true
	for len(text) > 0 && err == nil {
		var n int
		p.moveDeadline()
		n, err = p.w.Write(text[:min(len(text), maxPiece)])
		text, written = text[n:], written+n
	}
	return written, err
}

func (p *pieces) flush() error {
	p.moveDeadline()
	if err := p.control.Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

func (p *pieces) moveDeadline() {
	p.control.SetWriteDeadline(time.Now().Add(p.idle)) //nolint:errcheck // What has no deadlines does not wait for a network.
}
