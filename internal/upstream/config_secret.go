package upstream

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxSecret bounds a credential, in bytes.
const maxSecret = 4 << 10

// Lookup finds a variable, as os.LookupEnv does.
type Lookup func(name string) (string, bool)

// Secret is a credential that nothing prints. It is behind a pointer, because a
// print of a structure that contains it does not ask its String.
type Secret struct{ text *string }

// String keeps the credential out of everything that formats it.
func (Secret) String() string { return "[secret]" }

// Credentials are those of one account at a provider, by the names of its members.
type Credentials map[string]Secret

// secret is the text of a credential, "" where there is none.
func (u *Upstream) secret(member string) string {
	if text := u.Credentials[member].text; text != nil {
		return *text
	}
	return ""
}

// texts are all credentials, for a client to keep.
func (c Credentials) texts() map[string]string {
	all := make(map[string]string, len(c))
	for name, secret := range c {
		all[name] = *secret.text
	}
	return all
}

// newSecret refuses what is certainly no credential. It would only be refused
// later, in the words of whoever cannot make a header of it.
func newSecret(text string) (Secret, error) {
	switch {
	case text == "":
		return Secret{}, errors.New("is empty")
	case len(text) > maxSecret:
		return Secret{}, fmt.Errorf("is longer than %d bytes", maxSecret)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return Secret{}, errors.New("has characters that cannot be in a credential, such as a line break")
	}
	return Secret{&text}, nil
}

// reference is a credential that stands in a variable.
var reference = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$`)

// resolve gives the credential that a text of the configuration means: itself,
// or what the variable has that it names. literal tells that it was itself.
func resolve(text string, lookup Lookup) (_ Secret, literal bool, err error) {
	match := reference.FindStringSubmatch(text)
	if match == nil {
		if strings.Contains(text, "${") {
			return Secret{}, false, hint(errors.New("is more than a reference to a variable"),
				"${NAME} stands alone; a credential with ${ in itself goes into a file: {file: PATH}")
		}
		secret, err := newSecret(text)
		return secret, true, err
	}
	value, ok := lookup(match[1])
	if !ok {
		return Secret{}, false, hint(fmt.Errorf("is in the variable %s, which is not set", match[1]),
			"set it for the process itself: systemd and cron do not pass on what a shell has")
	}
	secret, err := newSecret(value)
	if err != nil {
		return Secret{}, false, fmt.Errorf("is in the variable %s, which %w", match[1], err)
	}
	return secret, false, nil
}

// readSecret reads a credential that is alone in a file, but for a line break at
// its end. warning is "" where nobody but owner and group can read the file.
func readSecret(path string) (_ Secret, warning string, err error) {
	text, public, err := readBounded(path, maxSecret+len("\r\n"))
	if err != nil {
		return Secret{}, "", err
	}
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	secret, err := newSecret(text)
	if err != nil {
		return Secret{}, "", fmt.Errorf("%s %w", path, err)
	}
	return secret, publicWarning(path, public), nil
}

// readBounded reads a whole file. public tells that every user can do so.
func readBounded(path string, limit int) (text string, public bool, err error) {
	file, err := os.Open(path)
	if err != nil {
		return "", false, err
	}
	defer file.Close() //nolint:errcheck // It is only read.
	info, err := file.Stat()
	if err != nil {
		return "", false, err
	}
	content, err := io.ReadAll(io.LimitReader(file, int64(limit)+1))
	if err != nil {
		return "", false, err
	}
	if len(content) > limit {
		return "", false, fmt.Errorf("%s is longer than %d bytes", path, limit)
	}
	return string(content), info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0, nil
}

func publicWarning(path string, public bool) string {
	if !public {
		return ""
	}
	return path + " has credentials, and every user of this machine can read it: chmod 600, or 640 with a group of its own"
}

// ReadCredentials reads a file of lines NAME=VALUE, such as systemd and
// containers take for an environment. Empty lines and those with a # at their
// beginning are left out. A value is taken as it stands, quotes too.
func ReadCredentials(path string) (_ Lookup, warning string, err error) {
	text, public, err := readBounded(path, maxFile)
	if err != nil {
		return nil, "", err
	}
	values := map[string]string{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(strings.TrimPrefix(name, "export "))
		if !ok || name == "" {
			return nil, "", fmt.Errorf("%s:%d is not NAME=VALUE", path, number)
		}
		if _, twice := values[name]; twice {
			return nil, "", fmt.Errorf("%s:%d: this name is there twice", path, number)
		}
		values[name] = strings.TrimSpace(value)
	}
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}, publicWarning(path, public), nil
}

// beside is a path that a file names: relative to the file, not to where
// somebody happens to start Saldo.
func beside(file, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}
