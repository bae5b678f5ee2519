package engine

import (
	"crypto/rand"
	"encoding/base32"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// GenerateCredentials makes a new pair from the system's randomness: an id of
// 20 characters and a secret of 40, which carry 200 bits. Both are capital
// letters and digits alone, because one dialect carries them in a path.
func GenerateCredentials() ledger.Credentials {
	return ledger.Credentials{ID: "AK" + randomText(18), Secret: randomText(40)}
}

// randomText gives n characters of five random bits each.
func randomText(n int) string {
	random := make([]byte, (n*5+7)/8)
	rand.Read(random) // never fails: the runtime ends the process instead
	return base32.StdEncoding.EncodeToString(random)[:n]
}
