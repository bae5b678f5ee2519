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
	"path/filepath"
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
}

func startBare(ctx context.Context) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, self, "bare")
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	return &process{command, strings.TrimSpace(line)}, err
}

// startSaldo serves the ledger at db with the binary under test. Its log goes
// to a file, as a service manager would take it.
func startSaldo(ctx context.Context, binary, db string) (*process, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(filepath.Dir(db), "serve.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	command := exec.CommandContext(ctx, binary, "serve", "--db", db, "--listen", addr, "--rate-limit", "0")
	command.Stderr = log
	if err := command.Start(); err != nil {
		return nil, err
	}
	for range 200 {
		response, err := http.Get("http://" + addr + "/readyz")
		if err == nil {
			response.Body.Close()
			return &process{command, addr}, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil, errors.Join(errors.New("saldo did not become ready"), command.Process.Kill())
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

func (p *process) stop() error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := p.command.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() { //nolint:forcetypeassert // It is one on every system that has signals.
		return nil
	}
	return err
}
