package pgtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Kill ends the server as a crash does: its first process and all that this one
// started get SIGKILL at one instant. What they told the kernel to write stays
// written, so that a server which does not wait for its disk keeps its commits
// too: what only a machine takes along that loses its power is not tried here.
func (s *Server) Kill() error {
	children, err := s.freeze()
	if err != nil {
		return err
	}
	pid := s.process.Process.Pid
	for _, process := range append(children, pid) {
		if err := syscall.Kill(process, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill process %d of the server: %w", process, err)
		}
	}
	select {
	case err := <-s.ended:
		if err == nil {
			return errors.New("the server had ended by itself")
		}
	case <-time.After(startTimeout):
		return errors.New("the server does not die")
	}
	if err := await("the processes of the server do not die", func() bool {
		for _, child := range children {
			if state := stateOf(child); state != "" && state != "Z" {
				return false
			}
		}
		return true
	}); err != nil {
		return err
	}
	return s.output.Close()
}

// Restart starts a server that was killed, at the port where it was, and waits
// until it has recovered.
func (s *Server) Restart() error {
	port := s.port
	var err error
	for range 3 {
		s.port = port
		if err = s.try(); err == nil {
			return nil
		}
	}
	return err
}

// Freeze makes the server and all its connections silent, as a network does that
// is cut. It goes on at Thaw.
func (s *Server) Freeze() error {
	children, err := s.freeze()
	for _, child := range children {
		if killed := syscall.Kill(child, syscall.SIGSTOP); killed != nil && !errors.Is(killed, syscall.ESRCH) {
			err = errors.Join(err, killed)
		}
	}
	return err
}

// Thaw lets a frozen server go on.
func (s *Server) Thaw() error {
	pid := s.process.Process.Pid
	children, err := childrenOf(pid)
	for _, process := range append(children, pid) {
		if woken := syscall.Kill(process, syscall.SIGCONT); woken != nil && !errors.Is(woken, syscall.ESRCH) {
			err = errors.Join(err, woken)
		}
	}
	return err
}

// freeze stops the first process, so that it starts no more of them, and gives
// the others.
func (s *Server) freeze() (children []int, err error) {
	pid := s.process.Process.Pid
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return nil, err
	}
	if err := await("the server does not hold still", func() bool { return stateOf(pid) == "T" }); err != nil {
		return nil, err
	}
	return childrenOf(pid)
}

func await(failure string, done func() bool) error {
	for deadline := time.Now().Add(startTimeout); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return errors.New(failure)
		}
	}
	return nil
}

// childrenOf are the processes that one has started.
func childrenOf(pid int) ([]int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil, err
	}
	var children []int
	for word := range strings.FieldsSeq(string(text)) {
		child, err := strconv.Atoi(word)
		if err != nil {
			return nil, err
		}
		children = append(children, child)
	}
	return children, nil
}

// stateOf is the letter for what a process does, T where it is stopped; "" where
// it is gone.
func stateOf(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The name before it stands in brackets and may have anything in it.
	_, rest, _ := bytes.Cut(text[max(0, bytes.LastIndexByte(text, ')')):], []byte(" "))
	state, _, _ := bytes.Cut(rest, []byte(" "))
	return string(state)
}
