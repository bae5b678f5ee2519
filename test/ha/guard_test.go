package ha

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// guardVariable makes this test binary a guard. Its value is the uid and gid of
// the program that is guarded.
const guardVariable = "HA_GUARD"

// becomeSubreaper is PR_SET_CHILD_SUBREAPER of prctl(2).
const becomeSubreaper = 36

// A guard stands between the test and a program: it starts the program, adopts
// whatever the program leaves behind, as Patroni leaves PostgreSQL, and kills it
// all when its own standard input ends. That happens when the test wants it,
// and also when the test itself ends in a way that lets it clean up nothing.
func guard() error {
	if _, _, failure := syscall.RawSyscall(syscall.SYS_PRCTL, becomeSubreaper, 1, 0); failure != 0 {
		return failure
	}
	command := exec.Command(os.Args[1], os.Args[2:]...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	if owner := os.Getenv(guardVariable); owner != "-" {
		account := new(syscall.Credential)
		if _, err := fmt.Sscanf(owner, "%d:%d", &account.Uid, &account.Gid); err != nil {
			return err
		}
		command.SysProcAttr = &syscall.SysProcAttr{Credential: account}
	}
	command.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool { return strings.HasPrefix(variable, guardVariable) })
	if err := command.Start(); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		for { // until the wait below finds nobody, which ends the process
			signal(syscall.SIGKILL, descendants(os.Getpid()))
			time.Sleep(5 * time.Millisecond)
		}
	}()
	for {
		if _, err := syscall.Wait4(-1, nil, 0, nil); errors.Is(err, syscall.ECHILD) {
			return nil
		}
	}
}

// guarded is a program with its guard.
type guarded struct {
	command *exec.Cmd
	hold    io.Closer // of which the end is the end of the program
	ended   chan struct{}
}

// launch starts a program under a guard. What it prints is added to a file.
func launch(folder, output string, account *syscall.Credential, environment []string, program ...string) (*guarded, error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	owner := "-"
	if account != nil {
		owner = fmt.Sprintf("%d:%d", account.Uid, account.Gid)
	}
	g := &guarded{command: exec.Command(binary, program...), ended: make(chan struct{})}
	g.command.Dir, g.command.Stdout, g.command.Stderr = folder, file, file
	g.command.Env = append(slices.Clone(environment), guardVariable+"="+owner)
	// An interrupt from the terminal ends the test, and through it the program.
	g.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if g.hold, err = g.command.StdinPipe(); err != nil {
		return nil, err
	}
	if err := g.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = g.command.Wait()
		close(g.ended)
	}()
	return g, nil
}

// kill ends the program, and all that it started, by SIGKILL.
func (g *guarded) kill() error {
	if g == nil {
		return nil
	}
	_ = g.hold.Close()
	select {
	case <-g.ended:
		return nil
	case <-time.After(patience):
		return errors.Join(fmt.Errorf("%v does not end", g.command.Args), g.command.Process.Kill())
	}
}

// gone tells whether the program has ended.
func (g *guarded) gone() bool {
	select {
	case <-g.ended:
		return true
	default:
		return false
	}
}

// pids are those of the program and all that it started, without the guard.
func (g *guarded) pids() []int { return descendants(g.command.Process.Pid) }

// signal sends a signal to processes, of which some may be gone already.
func signal(s syscall.Signal, pids []int) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, s)
	}
}

// descendants are the processes that a process has started, with theirs.
func descendants(ancestor int) []int {
	children := map[int][]int{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it ended meanwhile
		}
		// pid (name) state ppid, where the name may have anything in it
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		pid, pidErr := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		parent, parentErr := strconv.Atoi(fields[1])
		if pidErr == nil && parentErr == nil {
			children[parent] = append(children[parent], pid)
		}
	}
	found := slices.Clone(children[ancestor])
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i]]...)
	}
	return found
}

// livesIn are the processes whose working folder is a folder or in it.
func livesIn(folder string) []string {
	var found []string
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range links {
		if path, err := os.Readlink(link); err == nil && strings.HasPrefix(path, folder) {
			name, _ := os.ReadFile(filepath.Join(filepath.Dir(link), "cmdline"))
			found = append(found, strings.ReplaceAll(string(name), "\x00", " "))
		}
	}
	return found
}
