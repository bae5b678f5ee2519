package checkpoint_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/saldo-ledger/saldo/internal/checkpoint"
	"github.com/saldo-ledger/saldo/internal/engine"
)

// names are the files of a folder.
func names(t *testing.T, folder string) []string {
	t.Helper()
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	found := make([]string, len(files))
	for i, file := range files {
		found[i] = file.Name()
	}
	return found
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func saying(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

func TestCreate(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "checkpoint")
	err := checkpoint.Create(path, 0o640, func(w io.Writer) error {
		if slices.Contains(names(t, folder), "checkpoint") {
			t.Error("it has its name before it is whole")
		}
		return saying("first")(w)
	})
	info, statErr := os.Stat(path)
	if err != nil || statErr != nil || info.Mode().Perm() != 0o640 || content(t, path) != "first" {
		t.Errorf("%v, %v", err, info)
	}
	// Not even with the same content.
	err = checkpoint.Create(path, 0o600, func(io.Writer) error {
		t.Error("it is written before its name is looked at")
		return nil
	})
	if !errors.Is(err, checkpoint.ErrExists) || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
	// What comes in between is not written over either.
	late := filepath.Join(folder, "late")
	err = checkpoint.Create(late, 0o600, func(io.Writer) error { return os.WriteFile(late, []byte("other"), 0o600) })
	if !errors.Is(err, checkpoint.ErrExists) || content(t, late) != "other" {
		t.Errorf("%v", err)
	}
	// What fails leaves nothing.
	err = checkpoint.Create(filepath.Join(folder, "failed"), 0o600, func(w io.Writer) error { return errors.Join(saying("half")(w), io.ErrShortWrite) })
	if !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("%v", err)
	}
	if err := checkpoint.Create(filepath.Join(folder, "none", "file"), 0o600, saying("")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if err := checkpoint.Create(filepath.Join(path, "file"), 0o600, saying("")); err == nil {
		t.Error("a file is made within a file")
	}
	// A link that leads nowhere is a name in use too.
	if err := os.Symlink("nowhere", filepath.Join(folder, "link")); err != nil {
		t.Fatal(err)
	}
	if err := checkpoint.Create(filepath.Join(folder, "link"), 0o600, saying("")); !errors.Is(err, checkpoint.ErrExists) {
		t.Errorf("%v", err)
	}
	if left := names(t, folder); !slices.Equal(left, []string{"checkpoint", "late", "link"}) {
		t.Errorf("there is %v", left)
	}
}

func TestNewKey(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "saldo.pem")
	publicPath, err := checkpoint.NewKey(path)
	if err != nil || publicPath != filepath.Join(folder, "saldo.pub.pem") {
		t.Fatalf("%s, %v", publicPath, err)
	}
	for path, mode := range map[string]fs.FileMode{path: 0o600, publicPath: 0o644} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%v, %v", info, err)
		}
	}
	private, err := checkpoint.ReadPrivateKey(strings.NewReader(content(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	public, err := checkpoint.ReadPublicKey(strings.NewReader(content(t, publicPath)))
	if err != nil || !public.Equal(private.Public()) {
		t.Errorf("they are no pair, %v", err)
	}
	// Nothing is written over, and nothing is left of what fails.
	before := content(t, path) + content(t, publicPath)
	if _, err := checkpoint.NewKey(path); !errors.Is(err, checkpoint.ErrExists) {
		t.Errorf("%v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := checkpoint.NewKey(path); !errors.Is(err, checkpoint.ErrExists) || !strings.Contains(err.Error(), publicPath) {
		t.Errorf("%v", err)
	}
	if left := names(t, folder); !slices.Equal(left, []string{"saldo.pub.pem"}) || !strings.HasSuffix(before, content(t, publicPath)) {
		t.Errorf("there is %v", left)
	}
	if publicPath, err = checkpoint.NewKey(filepath.Join(folder, "id")); err != nil || publicPath != filepath.Join(folder, "id.pub.pem") {
		t.Errorf("%s, %v", publicPath, err)
	}
}

// Keys of openssl are read here, and those of here by openssl.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip(err)
	}
	run := func(args ...string) []byte {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), openssl, args...).Output()
		if err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		return out
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	run("genpkey", "-algorithm", "ed25519", "-out", path)
	private, err := checkpoint.ReadPrivateKey(strings.NewReader(content(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	public, err := checkpoint.ReadPublicKey(bytes.NewReader(run("pkey", "-in", path, "-pubout")))
	if err != nil || !public.Equal(private.Public()) {
		t.Errorf("they are no pair, %v", err)
	}
	own := filepath.Join(t.TempDir(), "own.pem")
	publicPath, err := checkpoint.NewKey(own)
	if err != nil || string(run("pkey", "-in", own, "-pubout")) != content(t, publicPath) {
		t.Errorf("openssl finds another public key, %v", err)
	}
	// A checkpoint can be checked without Saldo, as docs/verify.md says. (The
	// option is as old as openssl 3.)
	if help, _ := exec.CommandContext(t.Context(), openssl, "pkeyutl", "-help").CombinedOutput(); bytes.Contains(help, []byte("-rawin")) {
		var signed struct{ Digest, Signature string }
		lines := bytes.Split(readExample(t), []byte("\n"))
		if err := json.Unmarshal(lines[5], &signed); err != nil {
			t.Fatal(err)
		}
		signature, err := base64.StdEncoding.DecodeString(signed.Signature)
		if err != nil {
			t.Fatal(err)
		}
		folder := t.TempDir()
		for name, text := range map[string]string{
			"message":   "saldo checkpoint 1\n2026-11-22T03:00:00.123456Z\n4\n" + signed.Digest + "\n",
			"signature": string(signature), "key": publicPEM,
		} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		run("pkeyutl", "-verify", "-pubin", "-inkey", filepath.Join(folder, "key"), "-rawin",
			"-in", filepath.Join(folder, "message"), "-sigfile", filepath.Join(folder, "signature"))
	}
	encrypted := run("pkcs8", "-topk8", "-in", own, "-passout", "pass:secret")
	if _, err := checkpoint.ReadPrivateKey(bytes.NewReader(encrypted)); !errors.Is(err, checkpoint.ErrEncryptedKey) {
		t.Errorf("%v", err)
	}
}

func TestWrongKeys(t *testing.T) {
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curveDER, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	curvePublicDER, err := x509.MarshalPKIXPublicKey(curve.Public())
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	encrypted := block("ENCRYPTED PRIVATE KEY", []byte("?"))
	for _, tt := range []struct {
		text            string
		private, public error
	}{
		{"", checkpoint.ErrPrivateKey, checkpoint.ErrPublicKey},
		{"secret", checkpoint.ErrPrivateKey, checkpoint.ErrPublicKey},
		{strings.Repeat("\n", 1<<20) + privatePEM, checkpoint.ErrPrivateKey, checkpoint.ErrPublicKey},
		{privatePEM, nil, checkpoint.ErrPrivateForPublic},
		{"a comment\n" + privatePEM, nil, checkpoint.ErrPrivateForPublic},
		{publicPEM, checkpoint.ErrPrivateKey, nil},
		{encrypted, checkpoint.ErrEncryptedKey, checkpoint.ErrPrivateForPublic},
		{block("PRIVATE KEY", curveDER), checkpoint.ErrPrivateKey, checkpoint.ErrPrivateForPublic},
		{block("PRIVATE KEY", nil), checkpoint.ErrPrivateKey, checkpoint.ErrPrivateForPublic},
		{block("PUBLIC KEY", curvePublicDER), checkpoint.ErrPrivateKey, checkpoint.ErrPublicKey},
		{block("PUBLIC KEY", nil), checkpoint.ErrPrivateKey, checkpoint.ErrPublicKey},
		{block("CERTIFICATE", nil), checkpoint.ErrPrivateKey, checkpoint.ErrPublicKey},
	} {
		private, err := checkpoint.ReadPrivateKey(strings.NewReader(tt.text))
		if !errors.Is(err, tt.private) || (private == nil) != (tt.private != nil) {
			t.Errorf("%.60q is private: %v", tt.text, err)
		}
		public, err := checkpoint.ReadPublicKey(strings.NewReader(tt.text))
		if !errors.Is(err, tt.public) || (public == nil) != (tt.public != nil) {
			t.Errorf("%.60q is public: %v", tt.text, err)
		}
	}
	if _, err := checkpoint.ReadPublicKey(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v", err)
	}
	if _, err := checkpoint.ReadPrivateKey(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	_, public := keys(t)
	folder := t.TempDir()
	if _, err := checkpoint.Open(filepath.Join(folder, "none"), public); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := checkpoint.Open(folder, public); !errors.Is(err, checkpoint.ErrNotSeekable) || !strings.Contains(err.Error(), folder) {
		t.Errorf("%v", err)
	}
	// A disk that fails is not taken for somebody who changed the file.
	text := readExample(t)
	for at := range text {
		broken := io.MultiReader(bytes.NewReader(text[:at]), iotest.ErrReader(io.ErrClosedPipe))
		if _, err := checkpoint.Check(broken, public); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("after %d bytes: %v", at, err)
		}
	}
	if _, err := checkpoint.Check(io.MultiReader(bytes.NewReader(text), iotest.ErrReader(io.ErrClosedPipe)), public); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("at the end: %v", err)
	}
}

// A file that is exchanged after its signature was checked convinces nobody.
func TestExchangedFile(t *testing.T) {
	private, public := keys(t)
	text := write(t, private, exampleTime, exampleHeads)
	// This one has a good signature too; it is only not the one that was checked.
	other := write(t, private, exampleTime, append([]engine.Head{head(1, "sms", 2)}, exampleHeads[1:]...))
	for name, change := range map[string]func(*os.File) error{
		"another checkpoint": func(f *os.File) error { _, err := f.WriteAt(other, 0); return err },
		"half":               func(f *os.File) error { return f.Truncate(200) },
		"a line":             func(f *os.File) error { _, err := f.WriteAt([]byte("9"), 72); return err },
		"closed":             nil,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "checkpoint")
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			file, err := checkpoint.Open(path, public)
			if err != nil {
				t.Fatal(err)
			}
			if change == nil {
				if err := file.Close(); err != nil {
					t.Fatal(err)
				}
			} else {
				defer file.Close()
				writable, err := os.OpenFile(path, os.O_RDWR, 0)
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(change(writable), writable.Close()); err != nil {
					t.Fatal(err)
				}
			}
			var last error
			for _, last = range file.Heads() {
			}
			var reason *checkpoint.Error
			if !errors.As(last, &reason) || !strings.Contains(last.Error(), path+": the checkpoint cannot be read again as it was checked") {
				t.Errorf("%v", last)
			}
		})
	}
	// A file that was exchanged by name only is another file.
	path := filepath.Join(t.TempDir(), "checkpoint")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := checkpoint.Open(path, public)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := errors.Join(os.Remove(path), os.WriteFile(path, other, 0o600)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and it may be read as often as one likes
		var got []engine.Head
		for h, err := range file.Heads() {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, h)
		}
		if !slices.Equal(got, exampleHeads) {
			t.Errorf("%v", got)
		}
	}
	for h := range file.Heads() {
		if h != exampleHeads[0] {
			t.Errorf("%v", h)
		}
		break
	}
}

// A signature for another purpose is not one of a checkpoint: what is signed
// says what it is.
func TestDomainSeparation(t *testing.T) {
	private, public := keys(t)
	text := string(readExample(t))
	_, rest, _ := strings.Cut(text, `"digest":"`)
	digest, rest, _ := strings.Cut(rest, `"`)
	_, rest, _ = strings.Cut(rest, `"signature":"`)
	signature, _, _ := strings.Cut(rest, `"`)
	for _, message := range []string{"2026-11-22T03:00:00.123456Z\n4\n" + digest + "\n", digest, "saldo request 1\n" + digest} {
		other := base64.StdEncoding.EncodeToString(ed25519.Sign(private, []byte(message)))
		if _, err := checkpoint.Check(strings.NewReader(strings.Replace(text, signature, other, 1)), public); !errors.Is(err, checkpoint.ErrSignature) {
			t.Errorf("%q: %v", message, err)
		}
	}
	message := "saldo checkpoint 1\n2026-11-22T03:00:00.123456Z\n4\n" + digest + "\n"
	if got := base64.StdEncoding.EncodeToString(ed25519.Sign(private, []byte(message))); got != signature {
		t.Errorf("the signature is %s", got)
	}
}
