package checkpoint_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/saldo-ledger/saldo/internal/checkpoint"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// The pair of RFC 8410, section 10, which openssl reads and everybody knows.
const (
	privatePEM = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
`
	publicPEM = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
`
)

func keys(t *testing.T) (ed25519.PrivateKey, ed25519.PublicKey) {
	t.Helper()
	private, err := checkpoint.ReadPrivateKey(strings.NewReader(privatePEM))
	if err != nil {
		t.Fatal(err)
	}
	public, err := checkpoint.ReadPublicKey(strings.NewReader(publicPEM))
	if err != nil {
		t.Fatal(err)
	}
	return private, public
}

// otherKey is a key that signed nothing that anybody trusts.
var otherKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func head(account ledger.AccountID, service ledger.Service, version int64) engine.Head {
	return engine.Head{
		WalletRef: ledger.WalletRef{Account: account, Service: service}, Version: version,
		Hash: ledger.Hash(bytes.Repeat([]byte{byte(version)}, 32)),
	}
}

// example is what testdata/checkpoint.txt says.
var (
	exampleTime  = time.Date(2026, 11, 22, 3, 0, 0, 123456000, time.UTC)
	exampleHeads = []engine.Head{head(1, "sms", 3), head(2, "a-_9", 1<<62), head(2, "sms", 1), head(ledger.MaxAccountID, "voip", 255)}
)

func write(t rapid.TB, key ed25519.PrivateKey, at time.Time, heads []engine.Head) []byte {
	t.Helper()
	var text bytes.Buffer
	w := checkpoint.NewWriter(&text, at)
	for _, h := range heads {
		if err := w.Add(h); err != nil {
			t.Fatal(err)
		}
	}
	info, err := w.Sign(key)
	if err != nil || info.Wallets != int64(len(heads)) || !info.CreatedAt.Equal(at.Truncate(time.Microsecond)) {
		t.Fatalf("%+v, %v", info, err)
	}
	return text.Bytes()
}

func readExample(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/checkpoint.txt")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Files that were written stay readable: the format changes only with its number.
func TestFormat(t *testing.T) {
	private, public := keys(t)
	want := readExample(t)
	if got := write(t, private, exampleTime, exampleHeads); !bytes.Equal(got, want) {
		t.Errorf("it writes\n%swant\n%s", got, want)
	}
	info, heads, err := readFile(t, want, public)
	if err != nil || !info.CreatedAt.Equal(exampleTime) || info.Wallets != 4 || !info.PublicKey.Equal(public) || !slices.Equal(heads, exampleHeads) {
		t.Errorf("it reads %+v, %v, %v", info, heads, err)
	}
	// The last line ends it, and its key can be compared with the PEM file by eye.
	lines := strings.Split(string(want), "\n")
	if key := strings.Split(publicPEM, "\n")[1]; !strings.Contains(lines[5], key) || len(lines) != 7 {
		t.Errorf("%q", lines)
	}
}

// readFile checks a text as a file, and reads its heads.
func readFile(t rapid.TB, text []byte, key ed25519.PublicKey) (checkpoint.Info, []engine.Head, error) {
	t.Helper()
	folder, err := os.MkdirTemp("", "checkpoint-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "checkpoint")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := checkpoint.Open(path, key)
	if err != nil {
		return checkpoint.Info{}, nil, err
	}
	defer file.Close()
	var heads []engine.Head
	for h, err := range file.Heads() {
		if err != nil {
			return file.Info, heads, err
		}
		heads = append(heads, h)
	}
	return file.Info, heads, nil
}

// drawHeads draws heads in their order.
func drawHeads(t *rapid.T) []engine.Head {
	heads := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) engine.Head {
		return engine.Head{
			WalletRef: ledger.WalletRef{
				Account: ledger.AccountID(rapid.OneOf(rapid.Int32Range(1, 3), rapid.Int32Range(1, int32(ledger.MaxAccountID))).Draw(t, "account")),
				Service: ledger.Service(rapid.StringMatching(`sms|voip|[a-z][a-z0-9_-]{0,15}`).Draw(t, "service")),
			},
			Version: rapid.OneOf(rapid.Int64Range(1, 9), rapid.Int64Min(1)).Draw(t, "version"),
			Hash:    ledger.Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash")),
		}
	}), 0, 20, func(h engine.Head) ledger.WalletRef { return h.WalletRef }).Draw(t, "heads")
	slices.SortFunc(heads, func(a, b engine.Head) int { return a.Compare(b.WalletRef) })
	return heads
}

func drawTime(t *rapid.T) time.Time {
	return time.UnixMicro(rapid.Int64Range(0, 200_000_000_000_000_000).Draw(t, "time")).UTC()
}

// What is written is read again, and no other text with it: whatever is done to
// the bytes of a checkpoint makes it refused.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := ed25519.NewKeyFromSeed(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "seed"))
		public := key.Public().(ed25519.PublicKey)
		heads, at := drawHeads(t), drawTime(t)
		text := write(t, key, at, heads)
		info, got, err := readFile(t, text, public)
		if err != nil || !info.CreatedAt.Equal(at) || info.Wallets != int64(len(heads)) || !slices.Equal(got, heads) {
			t.Fatalf("it reads %+v, %v, %v", info, got, err)
		}
		changed := damage(t, text)
		if bytes.Equal(changed, text) {
			return
		}
		var reason *checkpoint.Error
		if _, got, err := readFile(t, changed, public); !errors.As(err, &reason) || len(got) > 0 {
			t.Fatalf("it reads %d heads and %v from\n%s", len(got), err, changed)
		}
	})
}

// damage changes a text somehow.
func damage(t *rapid.T, text []byte) []byte {
	lines := bytes.SplitAfter(text, []byte{'\n'})
	at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
	line, other := rapid.IntRange(0, len(lines)-1).Draw(t, "line"), rapid.IntRange(0, len(lines)-1).Draw(t, "other line")
	switch rapid.SampledFrom([]string{"change", "cut", "insert", "remove", "swap lines", "repeat line", "drop line", "append"}).Draw(t, "damage") {
	case "change":
		changed := slices.Clone(text)
		changed[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
		return changed
	case "cut":
		return text[:at]
	case "insert":
		return slices.Insert(slices.Clone(text), at, rapid.SliceOfN(rapid.Byte(), 1, 2000).Draw(t, "bytes")...)
	case "remove":
		return slices.Delete(slices.Clone(text), at, min(len(text), at+rapid.IntRange(1, 100).Draw(t, "length")))
	case "swap lines":
		lines[line], lines[other] = lines[other], lines[line]
	case "repeat line":
		lines = slices.Insert(lines, other, lines[line])
	case "drop line":
		lines = slices.Delete(lines, line, line+1)
	default:
		return append(slices.Clone(text), rapid.SliceOfN(rapid.Byte(), 1, 100).Draw(t, "bytes")...)
	}
	return bytes.Join(lines, nil)
}

// Of the example, every byte counts, and every end but its own is too early.
func TestEveryByte(t *testing.T) {
	_, public := keys(t)
	text := readExample(t)
	for at := range text {
		for _, bits := range []byte{1, 0x20, 0x80} {
			changed := slices.Clone(text)
			changed[at] ^= bits
			var reason *checkpoint.Error
			if _, err := checkpoint.Check(bytes.NewReader(changed), public); !errors.As(err, &reason) || reason.Hint() == "" {
				t.Errorf("byte %d with %q: %v", at, changed[at], err)
			}
		}
		if _, err := checkpoint.Check(bytes.NewReader(text[:at]), public); !errors.Is(err, checkpoint.ErrTruncated) {
			t.Errorf("cut off at %d: %v", at, err)
		}
	}
}

// Whoever changes a checkpoint is told from whoever cannot copy one.
func TestTampering(t *testing.T) {
	private, public := keys(t)
	example := string(readExample(t))
	lines := strings.SplitAfter(example, "\n")
	start, trailer := strings.Join(lines[:5], ""), lines[5]
	foreign := string(write(t, otherKey, exampleTime, exampleHeads))
	shorter := string(write(t, private, exampleTime, exampleHeads[:3]))
	later := string(write(t, private, exampleTime.Add(time.Hour), exampleHeads))
	lastLine := func(text string) string { return strings.SplitAfter(text, "\n")[strings.Count(text, "\n")-1] }
	between := func(text, from, to string) string {
		_, text, _ = strings.Cut(text, from)
		text, _, _ = strings.Cut(text, to)
		return text
	}
	digest := func(text string) string { return between(text, `"digest":"`, `"`) }
	signature := func(text string) string { return between(text, `"signature":"`, `"`) }
	key := func(text string) string { return between(text, `"public_key":"`, `"`) }
	for _, tt := range []struct {
		name, text string
		want       error
	}{
		{"empty", "", checkpoint.ErrTruncated},
		{"other text", "hello\n", checkpoint.ErrNotCheckpoint},
		{"other JSON", "{}\n", checkpoint.ErrNotCheckpoint},
		{"other JSON of one member", `{"saldo_checkpoint":"1"}` + "\n", checkpoint.ErrNotCheckpoint},
		{"a database", "SQLite format 3\x00" + strings.Repeat("\x00", 100000), checkpoint.ErrNotCheckpoint},
		{"a long line", "{" + strings.Repeat(" ", 100000) + "}\n", checkpoint.ErrNotCheckpoint},
		{"a key", publicPEM, checkpoint.ErrNotCheckpoint},
		{"version 2", strings.Replace(example, `"saldo_checkpoint":1`, `"saldo_checkpoint":2`, 1), checkpoint.ErrVersion},
		{"version 2 of another form", `{"saldo_checkpoint":2,"heads":"gzip"}` + "\n\x00\x01", checkpoint.ErrVersion},
		{"version 0", strings.Replace(example, `"saldo_checkpoint":1`, `"saldo_checkpoint":0`, 1), checkpoint.ErrVersion},
		{"another time", strings.Replace(example, "T03:", "T04:", 1), checkpoint.ErrChanged},
		{"no time", strings.Replace(example, "2026-11-22T", "yesterday", 1), checkpoint.ErrChanged},
		{"a time zone", strings.Replace(example, "123456Z", "123456+00:00", 1), checkpoint.ErrChanged},
		{"a space in the first line", strings.Replace(example, ":1,", ": 1,", 1), checkpoint.ErrChanged},
		{"one more member", strings.Replace(example, ":1,", `:1,"more":1,`, 1), checkpoint.ErrChanged},
		{"another version", strings.Replace(example, "sms 3", "sms 2", 1), checkpoint.ErrChanged},
		{"another hash", strings.Replace(example, "0303", "0302", 1), checkpoint.ErrChanged},
		{"a capital in a hash", strings.Replace(example, "ffff", "fffF", 1), checkpoint.ErrChanged},
		{"another account", strings.Replace(example, "1 sms", "2 a", 1), checkpoint.ErrChanged},
		{"account 0", strings.Replace(example, "1 sms", "0 sms", 1), checkpoint.ErrChanged},
		{"account beyond the last", strings.Replace(example, "2147483647", "2147483648", 1), checkpoint.ErrChanged},
		{"a zero before a number", strings.Replace(example, "1 sms", "01 sms", 1), checkpoint.ErrChanged},
		{"a sign before a number", strings.Replace(example, "sms 3", "sms +3", 1), checkpoint.ErrChanged},
		{"two spaces", strings.Replace(example, "1 sms", "1  sms", 1), checkpoint.ErrChanged},
		{"a carriage return", strings.ReplaceAll(example, "\n", "\r\n"), checkpoint.ErrChanged},
		{"an empty line", strings.Replace(example, "\n", "\n\n", 1), checkpoint.ErrChanged},
		{"a missing line", lines[0] + lines[1] + lines[3] + lines[4] + lines[5], checkpoint.ErrChanged},
		{"a line twice", lines[0] + lines[1] + strings.Join(lines[1:], ""), checkpoint.ErrChanged},
		{"lines in another order", lines[0] + lines[2] + lines[1] + strings.Join(lines[3:], ""), checkpoint.ErrChanged},
		{"a line too long", strings.Replace(example, "sms", strings.Repeat("s", 100000), 1), checkpoint.ErrChanged},
		{"without its last line", start, checkpoint.ErrTruncated},
		{"without its last byte", strings.TrimSuffix(example, "\n"), checkpoint.ErrTruncated},
		{"half", example[:len(example)/2], checkpoint.ErrTruncated},
		{"its first line alone", lines[0], checkpoint.ErrTruncated},
		{"more after the last line", example + "\n", checkpoint.ErrChanged},
		{"a byte more", example + "x", checkpoint.ErrChanged},
		{"a second checkpoint", example + example, checkpoint.ErrChanged},
		{"without its digest", strings.Replace(example, digest(example), "", 1), checkpoint.ErrChanged},
		{"another digest", strings.Replace(example, digest(example), digest(shorter), 1), checkpoint.ErrChanged},
		{"another count", strings.Replace(example, `"wallets":4`, `"wallets":3`, 1), checkpoint.ErrChanged},
		{"no key", strings.Replace(example, key(example), "", 1), checkpoint.ErrChanged},
		{"nonsense as a key", strings.Replace(example, key(example), "AAAA", 1), checkpoint.ErrChanged},
		{"a line too few with its own digest", strings.Join(lines[:4], "") + strings.Replace(lastLine(shorter), signature(shorter), signature(example), 1), checkpoint.ErrSignature},
		{"an earlier time with its own digest", strings.Replace(later, signature(later), signature(example), 1), checkpoint.ErrSignature},
		{"without its signature", strings.Replace(example, signature(example), "", 1), checkpoint.ErrSignature},
		{"null as a signature", strings.Replace(example, `"`+signature(example)+`"`, "null", 1), checkpoint.ErrSignature},
		{"half a signature", strings.Replace(example, signature(example), signature(example)[:44], 1), checkpoint.ErrSignature},
		{"another's signature", strings.Replace(example, signature(example), signature(foreign), 1), checkpoint.ErrSignature},
		{"another's key", strings.Replace(example, key(example), key(foreign), 1), checkpoint.ErrOtherKey},
		{"signed by another", foreign, checkpoint.ErrOtherKey},
		{"signed by another under this key's name", strings.Replace(foreign, key(foreign), key(example), 1), checkpoint.ErrSignature},
		{"the last line in another spelling", start + strings.Replace(trailer, ":4", ": 4", 1), checkpoint.ErrChanged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.text == example {
				t.Fatal("nothing was changed")
			}
			_, heads, err := readFile(t, []byte(tt.text), public)
			if !errors.Is(err, tt.want) || len(heads) > 0 {
				t.Errorf("%d heads, error %v", len(heads), err)
			}
		})
	}
	if _, _, err := readFile(t, []byte(foreign), otherKey.Public().(ed25519.PublicKey)); err != nil {
		t.Errorf("the other key reads its own: %v", err)
	}
}

// A writer refuses what its reader would, and what could forge a line.
func TestWriterRefuses(t *testing.T) {
	for _, tt := range []struct {
		heads []engine.Head
		want  string
	}{
		{[]engine.Head{head(1, "sms\n2 sms", 1)}, `wallet "sms\n2 sms" of account 1`},
		{[]engine.Head{head(1, "", 1)}, "no ledger can have"},
		{[]engine.Head{head(0, "sms", 1)}, "no ledger can have"},
		{[]engine.Head{head(-1, "sms", 1)}, "no ledger can have"},
		{[]engine.Head{head(1, "sms", 0)}, "no ledger can have"},
		{[]engine.Head{head(1, "sms", 1), head(1, "sms", 2)}, "in their order"},
		{[]engine.Head{head(1, "voip", 1), head(1, "sms", 1)}, "in their order"},
		{[]engine.Head{head(2, "sms", 1), head(1, "voip", 1)}, "in their order"},
	} {
		w := checkpoint.NewWriter(new(bytes.Buffer), exampleTime)
		var err error
		for _, h := range tt.heads {
			err = errors.Join(err, w.Add(h))
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v", tt.heads, err)
		}
	}
}

// full is a disk without room.
type full struct{ room int }

var errFull = errors.New("no space left on device")

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestWriterOnAFullDisk(t *testing.T) {
	private, _ := keys(t)
	for _, room := range []int{0, 100_000} {
		w := checkpoint.NewWriter(&full{room}, exampleTime)
		var err error
		for account := range ledger.AccountID(2000) {
			if err = w.Add(head(account+1, "sms", 1)); err != nil {
				break
			}
		}
		if err == nil {
			_, err = w.Sign(private)
		}
		if !errors.Is(err, errFull) {
			t.Errorf("with room for %d bytes: %v", room, err)
		}
	}
	w := checkpoint.NewWriter(&full{0}, exampleTime)
	if info, err := w.Sign(private); !errors.Is(err, errFull) {
		t.Errorf("%+v, %v", info, err)
	}
}

// A checkpoint may be longer than every buffer, and is never whole in memory.
func TestLongCheckpoint(t *testing.T) {
	private, public := keys(t)
	var heads []engine.Head
	for account := range ledger.AccountID(5000) {
		heads = append(heads, head(account+1, "sms", 1), head(account+1, "voip", int64(account)+1))
	}
	text := write(t, private, exampleTime, heads)
	info, got, err := readFile(t, text, public)
	if err != nil || info.Wallets != 10_000 || !slices.Equal(got, heads) {
		t.Errorf("%+v, %d heads, %v", info, len(got), err)
	}
	const buffers = 4 << 20 // more than reader, writer and digest have, and far less than all heads take
	allocated := testing.Benchmark(func(b *testing.B) {
		for range b.N {
			if _, err := checkpoint.Check(bytes.NewReader(text), public); err != nil {
				b.Fatal(err)
			}
		}
	})
	if allocated.AllocedBytesPerOp() > buffers {
		t.Errorf("%d bytes are allocated for %d", allocated.AllocedBytesPerOp(), len(text))
	}
}

func FuzzCheck(f *testing.F) {
	text, err := os.ReadFile("testdata/checkpoint.txt")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"saldo_checkpoint":1,"created_at":"2026-11-22T03:00:00.000000Z"}` + "\n" + `{"wallets":0}` + "\n"))
	f.Add([]byte("{\"saldo_checkpoint\":2}\n"))
	public, err := checkpoint.ReadPublicKey(strings.NewReader(publicPEM))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, changed []byte) {
		info, err := checkpoint.Check(bytes.NewReader(changed), public)
		if (err == nil) != bytes.Equal(changed, text) {
			t.Errorf("%v, %v", info, err)
		}
	})
}
