package pgtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// CA is the file with the certificate of the authority that has signed those of
// the server of this process. They name the host 127.0.0.1, and no other.
func CA(t testing.TB) string {
	t.Helper()
	s, err := running()
	if err != nil {
		t.Fatal(err)
	}
	return s.file("ca.pem")
}

// OtherCA is the file of an authority that has signed nothing.
func OtherCA(t testing.TB) string {
	t.Helper()
	s, err := running()
	if err != nil {
		t.Fatal(err)
	}
	return s.file("other.pem")
}

func (s *Server) certificate() string     { return s.file("server.pem") }
func (s *Server) privateKey() string      { return s.file("server.key") }
func (s *Server) file(name string) string { return filepath.Join(s.folder, name) }

// certify makes an authority, and a certificate of the server that it has signed.
func (s *Server) certify() error {
	if _, _, err := s.authority("other.pem"); err != nil {
		return err
	}
	authority, signer, err := s.authority("ca.pem")
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server"}, NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if err := s.sign("server.pem", server, authority, key, signer); err != nil {
		return err
	}
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return s.write("server.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}))
}

// authority makes an authority, which has signed itself.
func (s *Server) authority(name string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	certificate := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tests of Saldo"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	return certificate, key, s.sign(name, certificate, certificate, key, key)
}

func (s *Server) sign(name string, certificate, by *x509.Certificate, key, signer *ecdsa.PrivateKey) error {
	text, err := x509.CreateCertificate(rand.Reader, certificate, by, &key.PublicKey, signer)
	if err != nil {
		return err
	}
	return s.write(name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: text}))
}

// write makes a file that the server alone may read, besides this process.
func (s *Server) write(name string, text []byte) error {
	//nolint:gosec // The names are those in this package.
	if err := os.WriteFile(s.file(name), text, 0o600); err != nil || s.account == nil {
		return err
	}
	return os.Chown(s.file(name), int(s.account.Uid), int(s.account.Gid))
}
