package checkpoint

import (
	"bufio"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// Writer writes a checkpoint: Add takes the heads in their order, and Sign ends it.
type Writer struct {
	out    *bufio.Writer
	digest hash.Hash
	info   Info
	last   ledger.WalletRef
	line   []byte
}

// NewWriter begins a checkpoint of a moment. Nothing is written before it fills
// a buffer or is signed.
func NewWriter(out io.Writer, createdAt time.Time) *Writer {
	w := &Writer{
		out: bufio.NewWriterSize(out, bufferSize), digest: sha256.New(),
		info: Info{CreatedAt: createdAt.UTC().Truncate(time.Microsecond)},
	}
	_ = w.write(line(header{version, formatTime(createdAt)})) // the buffer remembers the error
	return w
}

// Add writes the next head.
func (w *Writer) Add(head engine.Head) error {
	if !writable(&head) {
		return fmt.Errorf("wallet %q of account %d: %w", head.Service, head.Account, ErrUnsound)
	}
	if head.Compare(w.last) <= 0 {
		return fmt.Errorf("wallet %s of account %d: heads must come in their order", head.Service, head.Account)
	}
	w.last = head.WalletRef
	w.info.Wallets++
	w.line = appendHead(w.line[:0], &head)
	return w.write(w.line)
}

// Sign writes the last line. The checkpoint is complete then, and the Writer done.
func (w *Writer) Sign(key ed25519.PrivateKey) (*Info, error) {
	w.digest.Sum(w.info.Digest[:0])
	w.info.PublicKey = key.Public().(ed25519.PublicKey)
	err := w.write(line(trailer{
		Wallets: w.info.Wallets, Digest: fmt.Sprintf("%x", w.info.Digest),
		PublicKey: keyText(w.info.PublicKey), Signature: ed25519.Sign(key, w.info.message()),
	}))
	if err == nil {
		err = w.out.Flush()
	}
	if err != nil {
		return nil, err
	}
	return &w.info, nil
}

// write writes a line. The digest covers the last one too, of which nobody asks
// for it any more.
func (w *Writer) write(text []byte) error {
	for _, part := range [][]byte{text, {'\n'}} {
		w.digest.Write(part)
		if _, err := w.out.Write(part); err != nil {
			return err
		}
	}
	return nil
}
