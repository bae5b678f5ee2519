package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// Replica starts another server, which follows this one as a streaming replica.
// Whoever starts it stops it, before this one.
func (s *Server) Replica() (_ *Server, err error) {
	r := &Server{bin: s.bin, account: s.account, password: s.password, language: s.language}
	if r.folder, err = os.MkdirTemp("", "saldo-postgres-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(r.folder))
		}
	}()
	if s.account != nil {
		if err := os.Chown(r.folder, int(s.account.Uid), int(s.account.Gid)); err != nil {
			return nil, err
		}
	}
	//nolint:gosec // The program is the one that is installed.
	command := exec.CommandContext(context.Background(), filepath.Join(s.bin, "pg_basebackup"), "--pgdata", r.data(), "--host", "127.0.0.1",
		"--port", strconv.Itoa(s.port), "--username", user, "--write-recovery-conf", "--wal-method", "stream", "--checkpoint", "fast", "--no-sync")
	command.Dir = r.folder
	command.Env = append(os.Environ(), "PGPASSWORD="+s.password)
	command.SysProcAttr = &syscall.SysProcAttr{Credential: s.account}
	if output, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("pg_basebackup: %w\n%s", err, output)
	}
	if err := r.certify(); err != nil {
		return nil, err
	}
	return r, r.run()
}

// Promote lets a replica take writes from now on.
func (s *Server) Promote(ctx context.Context) error {
	return s.execute(ctx, "SELECT pg_promote(true, 60)")
}

// Demote lets the server go on as a replica, which follows nobody.
func (s *Server) Demote() error {
	if err := s.halt(); err != nil {
		return err
	}
	if err := s.write(filepath.Join("data", "standby.signal"), nil); err != nil {
		return err
	}
	return s.Restart()
}

// Halt stops the server as its administrator does, so that it can be started
// again by Restart.
func (s *Server) Halt() error { return s.halt() }

// URL is that of a database of the server.
func (s *Server) URL(database string) string { return s.url(database) }

// Host is where the server listens.
func (s *Server) Host() string { return "127.0.0.1:" + strconv.Itoa(s.port) }
