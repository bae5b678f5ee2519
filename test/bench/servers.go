package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// bare is the measure of the read budgets: a net/http handler that decodes a
// balance request with encoding/json and writes fixed bytes. This program runs
// itself with the argument "bare", so that it is a process of its own as
// saldo is.
func bare() error {
	reply := func(w http.ResponseWriter, r *http.Request, into any, body string) {
		if err := json.NewDecoder(r.Body).Decode(into); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, body)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /user/account/balance", func(w http.ResponseWriter, r *http.Request) {
		var request struct {
			AuthSecret string `json:"authSecret"`
		}
		reply(w, r, &request, `{"msg":"SUCCESS","code":200,"result":{"smsBalance":-18.383,"voipBalance":0.0,"currency":"CNY"}}`)
	})
	mux.HandleFunc("POST /MainService.svc/json/GetBalance_json", func(w http.ResponseWriter, r *http.Request) {
		var request struct{ ApiKey, SecretKey string }
		reply(w, r, &request, `{"Balance":36693,"CodeResponse":"100","UserID":9999}`)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	return server.Serve(listener)
}

// process is a server that this program started.
type process struct {
	command *exec.Cmd
	addr    string
	ended   chan error
}

// start starts a server that only this program stops: a ^C goes to a whole group
// of processes, so it has a group of its own.
func start(command *exec.Cmd) (*process, error) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &process{command: command, ended: make(chan error, 1)}
	go func() { p.ended <- command.Wait() }()
	return p, nil
}

func startBare() (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	// Where it listens is read from it, through a pipe that outlives Wait.
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer out.Close()
	command := exec.Command(self, "bare")
	command.Stdout = in
	p, err := start(command)
	if err = errors.Join(err, in.Close()); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	p.addr = strings.TrimSpace(line)
	return p, nil
}

// Time-outs of a server that starts, and of one that stops.
const (
	startTimeout = 30 * time.Second
	stopTimeout  = 30 * time.Second
)

// launch serves a ledger with the binary under test. Its log goes to a file, as
// a service manager would take it.
func launch(ctx context.Context, binary, folder, db string) (_ *process, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, err
	}
	log, err := os.CreateTemp(folder, "serve-*.log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	command := exec.Command(binary, "serve", "--listen", addr, "--rate-limit", "0")
	command.Env = append(os.Environ(), "SALDO_DB="+db) // there may be a password in it
	command.Stderr = log
	p, err := start(command)
	if err != nil {
		return nil, err
	}
	p.addr = addr
	if err := p.ready(ctx); err != nil {
		said, _ := os.ReadFile(log.Name())
		return nil, errors.Join(fmt.Errorf("%s did not become ready: %w\n%s", binary, err, said), p.stop())
	}
	return p, nil
}

// ready waits until the server says that it is.
func (p *process) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr+"/readyz", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-p.ended:
			p.ended <- err // for who stops it
			return errors.Join(errors.New("it ended"), err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// cpu is the processor time that the process has used so far. Linux alone
// tells; elsewhere it is zero. It is far steadier than the rate, because it
// leaves out what else runs on the machine.
func (p *process) cpu() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.command.Process.Pid))
	if err != nil {
		return 0
	}
	// The fields after the name in parentheses; the 14th and 15th are ticks of 10 ms.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0
	}
	system, err := strconv.Atoi(fields[12])
	if err != nil {
		return 0
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// stop ends the server, gently at first.
func (p *process) stop() error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	var err error
	select {
	case err = <-p.ended:
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("%s did not stop", p.command.Path), p.command.Process.Kill(), <-p.ended)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() { //nolint:forcetypeassert // It is one on every system that has signals.
		return nil
	}
	return err
}
