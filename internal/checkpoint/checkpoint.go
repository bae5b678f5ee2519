// Package checkpoint writes and reads checkpoints: signed files that say where
// every wallet's chain of hashes ended at some moment. A ledger that is compared
// with one cannot have lost the end of a chain, or have another history, unseen.
//
// A checkpoint is text. Its first line says what it is, then there is a line for
// each wallet that has entries, and the last line signs all of it:
//
//	{"saldo_checkpoint":1,"created_at":"2026-11-22T03:00:00.000000Z"}
//	1042 sms 17 4f1f…
//	1042 voip 2 08c2…
//	{"wallets":2,"digest":"91ab…","public_key":"MCow…","signature":"kOw8…"}
//
// The signature comes last, so that a file of any length is written, and read,
// in one pass and in little memory. docs/verify.md has the format in full. Each
// checkpoint has one spelling: a file that says the same in other bytes is refused.
package checkpoint

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// version is that of the format that is written, and the only one that is read.
const version = 1

// signed begins every text that a checkpoint's key signs, so that a signature
// for anything else is never taken for that of a checkpoint.
const signed = "saldo checkpoint 1\n"

// maxLine bounds a line, in bytes; the longest real one, the last, has under 300.
const maxLine = 1024

// timeLayout is the API's: UTC, in the microseconds that the ledger keeps.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// Info is what a checkpoint says beside its heads.
type Info struct {
	CreatedAt time.Time // when its making began
	Wallets   int64     // how many heads it has
	Digest    ledger.Hash
	PublicKey ed25519.PublicKey // of the key that signed it, by its own account
}

// message is what is signed.
func (i *Info) message() []byte {
	return fmt.Appendf(nil, signed+"%s\n%d\n%x\n", formatTime(i.CreatedAt), i.Wallets, i.Digest)
}

func formatTime(t time.Time) string { return t.UTC().Format(timeLayout) }

// header is the first line.
type header struct {
	Version   int    `json:"saldo_checkpoint"`
	CreatedAt string `json:"created_at"`
}

// trailer is the last line.
type trailer struct {
	Wallets   int64  `json:"wallets"`
	Digest    string `json:"digest"`
	PublicKey string `json:"public_key"`
	Signature []byte `json:"signature"`
}

// line is the JSON of a header or a trailer, in its one spelling.
func line(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("checkpoint: a line that has no JSON: %v", err)) // they are structs of texts and numbers
	}
	return text
}

// appendHead appends the line of a head, without its end.
func appendHead(b []byte, head *engine.Head) []byte {
	b = strconv.AppendInt(b, int64(head.Account), 10)
	b = append(b, ' ')
	b = append(b, head.Service...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, head.Version, 10)
	b = append(b, ' ')
	return hex.AppendEncode(b, head.Hash[:])
}

// writable tells whether a head can stand in a checkpoint. That of a ledger that
// was tampered with may not: a service could have the end of a line in it.
func writable(head *engine.Head) bool {
	return head.Account > 0 && head.Service.Valid() && head.Version > 0
}

// keyText is a public key as it stands in the middle of its PEM file, so that
// the two can be compared by eye.
func keyText(key ed25519.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(fmt.Sprintf("checkpoint: an Ed25519 key that has no DER: %v", err)) // every one has
	}
	return base64.StdEncoding.EncodeToString(der)
}
