package pgtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Pooler is a PgBouncer before the server of this process.
type Pooler struct{ port int }

// NewPooler starts PgBouncer with a configuration file, in which it changes the
// host of the databases, where PgBouncer listens, and the settings that are given.
// It is gone when the test ends.
func NewPooler(t testing.TB, file string, settings map[string]string) *Pooler {
	t.Helper()
	s, err := running()
	if err != nil {
		t.Fatal(err)
	}
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	p := &Pooler{port}
	stop, err := s.pool(file, port, settings)
	if err != nil {
		t.Fatalf("start PgBouncer: %v", err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("stop PgBouncer: %v", err)
		}
	})
	return p
}

// URL is that of a database through PgBouncer, which has no TLS here.
func (p *Pooler) URL(database string) string {
	u, err := url.Parse(database)
	if err != nil {
		return database
	}
	u.Host = fmt.Sprintf("127.0.0.1:%d", p.port)
	return u.String()
}

// pool runs PgBouncer in a folder of its own, and gives how to stop it.
func (s *Server) pool(file string, port int, settings map[string]string) (stop func() error, err error) {
	program, err := findPgBouncer()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp(s.folder, "pgbouncer-")
	if err != nil {
		return nil, err
	}
	if s.account != nil {
		if err := os.Chown(folder, int(s.account.Uid), int(s.account.Gid)); err != nil {
			return nil, err
		}
	}
	name := func(file string) string { return filepath.Join(filepath.Base(folder), file) }
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	all := map[string]string{
		"\\*": fmt.Sprintf("host=127.0.0.1 port=%d", s.port), "listen_addr": "127.0.0.1", "listen_port": strconv.Itoa(port), "unix_socket_dir": "",
		"auth_file": s.file(name("users.txt")), "logfile": s.file(name("log")), "pidfile": "", "server_tls_ca_file": s.file("ca.pem"),
	}
	maps.Copy(all, settings)
	for key, value := range all {
		text = set(text, key, value)
	}
	users := strconv.Quote(user) + " " + strconv.Quote(s.password) + "\n"
	if err := errors.Join(s.write(name("pgbouncer.ini"), text), s.write(name("users.txt"), []byte(users))); err != nil {
		return nil, err
	}
	process := exec.CommandContext(context.Background(), program, s.file(name("pgbouncer.ini"))) //nolint:gosec // The program is the one that is installed.
	process.Dir = folder
	process.SysProcAttr = &syscall.SysProcAttr{Credential: s.account, Pdeathsig: syscall.SIGKILL, Setpgid: true}
	ended, err := launch(process)
	if err != nil {
		return nil, err
	}
	stop = func() error {
		err := process.Process.Kill()
		if ended := <-ended; ended == nil {
			return errors.New("it had ended by itself")
		}
		return err // that it was killed is none
	}
	if err := listens(port, ended); err != nil {
		said, unread := os.ReadFile(s.file(name("log")))
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, said), unread)
	}
	return stop, nil
}

// set gives a setting another value, in its line or in one more.
func set(text []byte, key, value string) []byte {
	line := regexp.MustCompile("(?m)^" + key + " *=.*$")
	setting := []byte(regexp.MustCompile(`\\`).ReplaceAllString(key, "") + " = " + value)
	if line.Match(text) {
		return line.ReplaceAllLiteral(text, setting)
	}
	return append(append(text, setting...), '\n')
}

// listens waits until somebody listens at a port.
func listens(port int, ended <-chan error) error {
	deadline := time.Now().Add(startTimeout)
	for {
		conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return conn.Close()
		}
		select {
		case ended := <-ended:
			return fmt.Errorf("it ended: %w", ended)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

func findPgBouncer() (string, error) {
	if path, err := exec.LookPath("pgbouncer"); err == nil {
		return path, nil
	}
	const debian = "/usr/sbin/pgbouncer"
	if _, err := os.Stat(debian); err != nil {
		return "", errors.New("these tests need PgBouncer: install it with \"apt-get install pgbouncer\", which \"make needs\" does")
	}
	return debian, nil
}
