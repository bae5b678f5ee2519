package pgtest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// user is the superuser of the server.
const user = "saldo"

// startTimeout bounds how long the server may take to start, or to stop.
const startTimeout = time.Minute

// Options are what a server is started with. The zero Options are for tests.
type Options struct {
	Folder  string // in which it makes a folder of its own; "" for that of temporary files
	Durable bool   // it waits for its disk, as a server in use does
}

// Server is a PostgreSQL server in a folder of its own.
type Server struct {
	durable  bool
	bin      string // where its programs are
	folder   string
	password string
	language string // of new databases
	port     int
	account  *syscall.Credential // nil for that of this process
	process  *exec.Cmd
	output   *os.File
	ended    chan error
}

// Start makes a server and waits until it answers. Whoever starts it stops it.
func Start(o Options) (_ *Server, err error) {
	s := &Server{durable: o.Durable, password: rand.Text()}
	if s.bin, err = programs(); err != nil {
		return nil, err
	}
	if s.account, err = account(); err != nil {
		return nil, err
	}
	if s.folder, err = os.MkdirTemp(o.Folder, "saldo-postgres-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(s.folder))
		}
	}()
	if s.folder, err = filepath.Abs(s.folder); err != nil { // its programs run in it
		return nil, err
	}
	if err := s.initialize(); err != nil {
		return nil, err
	}
	if err := s.certify(); err != nil {
		return nil, err
	}
	if err := s.run(); err != nil {
		return nil, err
	}
	// A server that was built without ICU sorts by bytes; then nothing is noticed.
	s.language = " LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LC_COLLATE 'C' LC_CTYPE 'C'"
	if s.execute(context.Background(), "CREATE DATABASE language TEMPLATE template0"+s.language) != nil {
		s.language = ""
	}
	return s, nil
}

// programs finds the programs of the latest PostgreSQL server that is installed:
// in the path, or where Debian keeps them.
func programs() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		path, err = filepath.EvalSymlinks(path) // the others may not be beside a link
		return filepath.Dir(path), err
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.New("these tests need a PostgreSQL server: install it with \"apt-get install postgresql\", " +
			"which \"make needs\" does, or put its initdb and postgres into the path")
	}
	version := func(path string) int {
		n, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		if err != nil {
			return 0 // it stands behind all that have a number
		}
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return cmp.Compare(version(a), version(b)) })), nil
}

// account is the one that the server runs under: it refuses to be root.
func account() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := osuser.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(found.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(found.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
}

// initialize makes the files of the server.
func (s *Server) initialize() error {
	password := filepath.Join(s.folder, "password")
	if err := os.WriteFile(password, []byte(s.password), 0o600); err != nil {
		return err
	}
	if s.account != nil {
		for _, path := range []string{s.folder, password} {
			if err := os.Chown(path, int(s.account.Uid), int(s.account.Gid)); err != nil {
				return err
			}
		}
	}
	//nolint:gosec // The program is the one that is installed.
	command := exec.CommandContext(context.Background(), filepath.Join(s.bin, "initdb"), "--pgdata", s.data(), "--username", user, "--pwfile", password,
		"--auth", "password", "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
	command.Dir = s.folder
	command.SysProcAttr = &syscall.SysProcAttr{Credential: s.account}
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output)
	}
	return nil
}

func (s *Server) data() string { return filepath.Join(s.folder, "data") }

// run starts the server and waits until it answers.
func (s *Server) run() error {
	var err error
	// Another process may take the free port before the server does.
	for range 3 {
		if err = s.try(); err == nil {
			return nil
		}
	}
	return err
}

func (s *Server) try() (err error) {
	if s.port == 0 {
		if s.port, err = freePort(); err != nil {
			return err
		}
	}
	if s.output, err = os.Create(filepath.Join(s.folder, "output")); err != nil {
		return err
	}
	s.process = exec.CommandContext(context.Background(), filepath.Join(s.bin, "postgres"), s.settings()...) //nolint:gosec // The program is the one that is installed.
	s.process.Dir, s.process.Stdout, s.process.Stderr = s.folder, s.output, s.output
	// The server ends with this process, in whatever way that ends.
	// Until then nobody but this process stops it: not the ^C of a terminal either,
	// which goes to a whole group of processes.
	s.process.SysProcAttr = &syscall.SysProcAttr{Credential: s.account, Pdeathsig: syscall.SIGQUIT, Setpgid: true}
	if s.ended, err = launch(s.process); err != nil {
		return err
	}
	if err := s.answers(); err != nil {
		s.port = 0
		return err
	}
	return nil
}

// launch starts a process, and gives how it ends.
func launch(process *exec.Cmd) (ended chan error, err error) {
	ended = make(chan error, 1)
	started := make(chan error, 1)
	go func() {
		// The signal for the case that this process dies is sent when the thread
		// ends that started the other, so it is kept for that.
		runtime.LockOSThread()
		err := process.Start()
		started <- err
		if err == nil {
			ended <- process.Wait()
		}
	}()
	return ended, <-started
}

func (s *Server) settings() []string {
	settings := []string{
		"-D", s.data(), "-p", strconv.Itoa(s.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=300",
	}
	if s.durable {
		return append(settings, "-c", "fsync=on", "-c", "full_page_writes=on", "-c", "synchronous_commit=on", "-c", "shared_buffers=128MB")
	}
	// What the tests check of durability is that of the protocol. That a disk
	// keeps what it was told to keep is not theirs to find out.
	return append(settings, "-c", "ssl=on", "-c", "ssl_cert_file="+s.certificate(), "-c", "ssl_key_file="+s.privateKey(), "-c", "fsync=off", "-c", "shared_buffers=64MB", "-c", "deadlock_timeout=100ms")
}

// answers waits until the server answers.
func (s *Server) answers() error {
	deadline := time.Now().Add(startTimeout)
	for {
		err := s.execute(context.Background(), "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case ended := <-s.ended:
			return fmt.Errorf("the server did not start: %w\n%s", ended, s.said())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("the server does not answer: %w\n%s", err, s.said()), s.halt())
		}
	}
}

// said is what the server printed.
func (s *Server) said() []byte {
	text, err := os.ReadFile(s.output.Name())
	if err != nil {
		return []byte(err.Error())
	}
	return bytes.TrimSpace(text)
}

// Stop stops the server and removes what it left.
func (s *Server) Stop() error { return errors.Join(s.halt(), os.RemoveAll(s.folder)) }

// halt stops the server, whoever is connected.
func (s *Server) halt() (err error) {
	defer func() { err = errors.Join(err, s.output.Close()) }()
	if err := s.process.Process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	select {
	case err := <-s.ended:
		return err
	case <-time.After(startTimeout):
		return errors.Join(errors.New("the server did not stop"), s.process.Process.Kill())
	}
}

func freePort() (port int, err error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}
