package checkpoint

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

const bufferSize = 64 << 10

// Check reads a whole checkpoint and tells whether it is as the owner of the key
// signed it. Only then are its heads worth anything.
func Check(r io.Reader, key ed25519.PublicKey) (*Info, error) {
	info, signature, err := read(r, nil)
	switch {
	case err != nil:
		return nil, err
	case !key.Equal(info.PublicKey):
		return nil, fmt.Errorf("%w, %s", ErrOtherKey, keyText(info.PublicKey))
	case !ed25519.Verify(key, info.message(), signature):
		return nil, ErrSignature
	}
	return info, nil
}

// errStop ends the reading of a checkpoint of which no more is wanted.
var errStop = errors.New("no more is wanted")

// read reads a whole checkpoint and gives its heads one after the other to fn,
// unless that is nil. It checks all but the signature.
func read(r io.Reader, fn func(engine.Head) error) (info *Info, signature []byte, err error) {
	lines := lineReader{reader: bufio.NewReaderSize(r, bufferSize)}
	first, err := lines.next()
	if err != nil {
		return nil, nil, beginning(first, err)
	}
	if info, err = readHeader(first); err != nil {
		return nil, nil, err
	}
	digest := sha256.New()
	last := ledger.WalletRef{}
	for text := first; ; {
		digest.Write(text)
		digest.Write([]byte{'\n'})
		if text, err = lines.next(); err != nil {
			return nil, nil, ending(err)
		}
		if text[0] == '{' {
			digest.Sum(info.Digest[:0])
			break
		}
		head, ok := readHead(text)
		if !ok || head.Compare(last) <= 0 {
			return nil, nil, fmt.Errorf("line %d: %w", lines.number, ErrChanged)
		}
		last = head.WalletRef
		info.Wallets++
		if fn == nil {
			continue
		}
		if err := fn(head); err != nil {
			return nil, nil, err
		}
	}
	if signature, err = readTrailer(lines.line, info); err != nil {
		return nil, nil, err
	}
	switch _, err = lines.next(); {
	case errors.Is(err, io.EOF):
		return info, signature, nil
	case err == nil || unended(err):
		return nil, nil, fmt.Errorf("there is more after the signature: %w", ErrChanged)
	default:
		return nil, nil, err
	}
}

// magic begins every checkpoint of every version.
const magic = `{"saldo_checkpoint":`

// beginning says what is wrong with a file that has no first line.
func beginning(start []byte, err error) error {
	switch {
	case !errors.Is(err, io.EOF) && !unended(err):
		return err
	case strings.HasPrefix(magic, string(start)) || strings.HasPrefix(string(start), magic):
		return ErrTruncated
	default:
		return ErrNotCheckpoint
	}
}

// ending says what is wrong with a file whose lines end before the last one.
func ending(err error) error {
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return ErrTruncated
	case errors.Is(err, errLine):
		return ErrChanged
	default:
		return err
	}
}

func readHeader(text []byte) (*Info, error) {
	var format struct {
		Version *int `json:"saldo_checkpoint"`
	}
	// What else later versions have in this line is theirs.
	if err := json.Unmarshal(text, &format); err != nil || format.Version == nil {
		return nil, ErrNotCheckpoint
	}
	if *format.Version != version {
		return nil, fmt.Errorf("%w: %d", ErrVersion, *format.Version)
	}
	var h header
	if err := json.Unmarshal(text, &h); err != nil || !bytes.Equal(line(h), text) {
		return nil, fmt.Errorf("line 1: %w", ErrChanged)
	}
	createdAt, err := time.Parse(timeLayout, h.CreatedAt)
	if err != nil || formatTime(createdAt) != h.CreatedAt {
		return nil, fmt.Errorf("line 1: %w", ErrChanged)
	}
	return &Info{CreatedAt: createdAt}, nil
}

// readHead reads the line of a head, if it is one in its one spelling.
func readHead(text []byte) (head engine.Head, ok bool) {
	fields := strings.Split(string(text), " ")
	if len(fields) != 4 || len(fields[3]) != hex.EncodedLen(len(head.Hash)) {
		return head, false
	}
	account, err := strconv.ParseInt(fields[0], 10, 32)
	if err != nil {
		return head, false
	}
	if head.Version, err = strconv.ParseInt(fields[2], 10, 64); err != nil {
		return head, false
	}
	if _, err = hex.Decode(head.Hash[:], []byte(fields[3])); err != nil {
		return head, false
	}
	head.Account, head.Service = ledger.AccountID(account), ledger.Service(fields[1])
	return head, writable(&head) && bytes.Equal(appendHead(nil, &head), text)
}

// readTrailer reads the last line and compares it with what was found before it.
func readTrailer(text []byte, info *Info) (signature []byte, err error) {
	var t trailer
	if err := json.Unmarshal(text, &t); err != nil || !bytes.Equal(line(t), text) {
		return nil, fmt.Errorf("the last line: %w", ErrChanged)
	}
	if info.PublicKey, err = parseKeyText(t.PublicKey); err != nil {
		return nil, fmt.Errorf("the last line: %w", ErrChanged)
	}
	if t.Wallets != info.Wallets || t.Digest != fmt.Sprintf("%x", info.Digest) {
		return nil, ErrChanged
	}
	return t.Signature, nil
}

// errLine says that a line is empty, or longer than any that was written.
var errLine = errors.New("not a line")

// unended tells whether there was something, but no line.
func unended(err error) bool { return errors.Is(err, errLine) || errors.Is(err, io.ErrUnexpectedEOF) }

// lineReader reads lines of at most maxLine bytes.
type lineReader struct {
	reader *bufio.Reader
	line   []byte // the last one, without its end
	number int64
}

// next gives the next line without its end, which is valid until the one after
// it is read. io.EOF tells that there is none; with io.ErrUnexpectedEOF and
// errLine comes the beginning of what is not one.
func (l *lineReader) next() ([]byte, error) {
	l.number++
	text, err := l.reader.ReadSlice('\n')
	line, ended := bytes.CutSuffix(text, []byte{'\n'})
	l.line = line
	switch {
	case errors.Is(err, bufio.ErrBufferFull) || len(line) > maxLine || ended && len(line) == 0:
		return line[:min(len(line), maxLine)], errLine
	case errors.Is(err, io.EOF) && len(line) > 0:
		return line, io.ErrUnexpectedEOF
	default:
		return line, err
	}
}
