package checkpoint

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"strings"
)

// maxKeyFile bounds what is read of a key, in bytes.
const maxKeyFile = 16 << 10

// The types of PEM blocks.
const (
	privateBlock   = "PRIVATE KEY"
	encryptedBlock = "ENCRYPTED PRIVATE KEY"
	publicBlock    = "PUBLIC KEY"
)

// ReadPrivateKey reads a private key in PEM, as NewKey and openssl write it.
func ReadPrivateKey(r io.Reader) (ed25519.PrivateKey, error) {
	block, err := readPEM(r)
	switch {
	case err != nil:
		return nil, err
	case block == nil:
		return nil, ErrPrivateKey
	case block.Type == encryptedBlock:
		return nil, ErrEncryptedKey
	case block.Type != privateBlock:
		return nil, ErrPrivateKey
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if private, ok := key.(ed25519.PrivateKey); err == nil && ok {
		return private, nil
	}
	return nil, ErrPrivateKey
}

// ReadPublicKey reads a public key in PEM, as NewKey and openssl write it.
func ReadPublicKey(r io.Reader) (ed25519.PublicKey, error) {
	block, err := readPEM(r)
	switch {
	case err != nil:
		return nil, err
	case block == nil:
		return nil, ErrPublicKey
	case block.Type == privateBlock || block.Type == encryptedBlock:
		return nil, ErrPrivateForPublic
	case block.Type != publicBlock:
		return nil, ErrPublicKey
	}
	return parsePublicKey(block.Bytes)
}

// readPEM reads the first block of a text, nil where it has none.
func readPEM(r io.Reader) (*pem.Block, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxKeyFile))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	return block, nil
}

func parsePublicKey(der []byte) (ed25519.PublicKey, error) {
	key, err := x509.ParsePKIXPublicKey(der)
	if public, ok := key.(ed25519.PublicKey); err == nil && ok {
		return public, nil
	}
	return nil, ErrPublicKey
}

// parseKeyText reads what keyText wrote, and nothing else.
func parseKeyText(text string) (ed25519.PublicKey, error) {
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, ErrPublicKey
	}
	key, err := parsePublicKey(der)
	if err != nil || keyText(key) != text {
		return nil, ErrPublicKey
	}
	return key, nil
}

// NewKey makes a key: the private one at path, for its owner's eyes alone, and
// the public one next to it, whose path is returned. Nothing is written over.
func NewKey(path string) (publicPath string, err error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", err
	}
	publicDER, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", err
	}
	publicPath = strings.TrimSuffix(path, ".pem") + ".pub.pem"
	if err := vacant(publicPath); err != nil {
		return "", err
	}
	if err := createKey(path, privateBlock, privateDER, 0o600); err != nil {
		return "", err
	}
	if err := createKey(publicPath, publicBlock, publicDER, 0o644); err != nil {
		// Half a pair would only be in the way of a second try.
		return "", errors.Join(err, os.Remove(path))
	}
	return publicPath, nil
}

func createKey(path, kind string, der []byte, mode os.FileMode) error {
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	return Create(path, mode, func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(text))
		return err
	})
}
