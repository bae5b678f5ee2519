package acceptance

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

// example is a command in the documentation, with the output that it is said to have.
type example struct {
	file    string
	line    int
	command string
	output  []string
}

func (e example) String() string { return fmt.Sprintf("%s:%d: $ %s", e.file, e.line, e.command) }

// TestDocs runs the examples of README.md and docs. They are the blocks
//
//	<!-- test: NAME -->
//	```console
//	$ command
//	expected output
//	```
//
// of which those with one NAME in one file are a session: they run in one
// shell, in a folder of its own, with saldo on the PATH. At the end of an
// expected line ... stands for anything, and on a line of its own for any
// lines. The ports of the examples are replaced by free ones. Standard output
// and standard error are compared together, as a terminal shows them.
func TestDocs(t *testing.T) {
	files := []string{"../../README.md"}
	err := filepath.WalkDir("../../docs", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".md" {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sessions := 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(filepath.ToSlash(file), "../../")
		examples, err := readExamples(name, string(content))
		if err != nil {
			t.Error(err)
		}
		for _, s := range examples {
			sessions++
			t.Run(name+" "+s.name, func(t *testing.T) { runSession(t, s) })
		}
	}
	if sessions == 0 {
		t.Error("there is no example to run")
	}
}

// session is the examples of one name, in their order.
type session struct {
	name     string
	examples []example
}

var (
	mark    = regexp.MustCompile(`^<!-- test: ([a-z0-9-]+) -->$`)
	heredoc = regexp.MustCompile(`<<-?\s*['"]?(\w+)['"]?`)
)

// readExamples finds the marked blocks of a file.
func readExamples(file, content string) ([]session, error) {
	var sessions []session
	lines := strings.Split(content, "\n")
	for i := 0; i < len(lines); i++ {
		match := mark.FindStringSubmatch(lines[i])
		if match == nil {
			if strings.Contains(lines[i], "<!-- test") {
				return nil, fmt.Errorf("%s:%d: a mark looks like <!-- test: NAME -->", file, i+1)
			}
			continue
		}
		if i+1 >= len(lines) || lines[i+1] != "```console" {
			return nil, fmt.Errorf("%s:%d: no ```console follows the mark", file, i+1)
		}
		length := slices.Index(lines[i+2:], "```")
		if length < 0 {
			return nil, fmt.Errorf("%s:%d: the block does not end", file, i+1)
		}
		examples, err := readBlock(file, i+3, lines[i+2:i+2+length])
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(sessions, func(s session) bool { return s.name == match[1] })
		if at < 0 {
			at = len(sessions)
			sessions = append(sessions, session{name: match[1]})
		}
		sessions[at].examples = append(sessions[at].examples, examples...)
		i += 2 + length
	}
	return sessions, nil
}

// readBlock reads the commands of a block, each with its output.
func readBlock(file string, number int, lines []string) ([]example, error) {
	var examples []example
	for i := 0; i < len(lines); i++ {
		command, ok := strings.CutPrefix(lines[i], "$ ")
		if !ok {
			if len(examples) == 0 {
				return nil, fmt.Errorf("%s:%d: the block does not begin with a command", file, number)
			}
			last := &examples[len(examples)-1]
			last.output = append(last.output, lines[i])
			continue
		}
		e := example{file: file, line: number + i, command: command}
		for !complete(e.command) {
			if i++; i == len(lines) {
				return nil, fmt.Errorf("%s: the command does not end", e)
			}
			e.command += "\n" + strings.TrimPrefix(lines[i], "> ")
		}
		examples = append(examples, e)
	}
	return examples, nil
}

// complete tells whether a shell would begin with a command, or ask for more of it.
func complete(command string) bool {
	if strings.HasSuffix(command, `\`) {
		return false
	}
	if match := heredoc.FindStringSubmatch(command); match != nil {
		return strings.HasSuffix(command, "\n"+match[1])
	}
	return exec.Command("bash", "-n", "-c", command).Run() == nil
}

// environment lets the commands of a session named postgresql find a server, by
// the variables that PostgreSQL's own programs read.
func (s session) environment(t *testing.T) []string {
	t.Helper()
	if s.name != "postgresql" {
		return nil
	}
	server, err := url.Parse(pgtest.NewDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	password, _ := server.User.Password()
	return []string{
		"PGHOST=" + server.Hostname(), "PGPORT=" + server.Port(), "PGUSER=" + server.User.Username(), "PGPASSWORD=" + password, "PGSSLMODE=disable",
	}
}

// runSession runs the examples of a session and compares their output.
func runSession(t *testing.T, s session) {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip(err)
	}
	ports := map[string]string{"8080": freePort(t), "8081": freePort(t), "8443": freePort(t)}
	var pairs []string
	for documented, free := range ports {
		pairs = append(pairs, documented, free)
	}
	substitute := strings.NewReplacer(pairs...)
	shell := startShell(t, ports["8080"], s.environment(t)...)
	for _, e := range s.examples {
		command, background := strings.CutSuffix(strings.TrimSpace(substitute.Replace(e.command)), "&")
		background = background && !strings.HasSuffix(command, "&")
		var output string
		if background {
			output = shell.runInBackground(t, command, ports)
		} else {
			output = shell.run(t, substitute.Replace(e.command))
		}
		expected := make([]string, len(e.output))
		for i, line := range e.output {
			expected[i] = substitute.Replace(line)
		}
		if got := strings.Split(strings.TrimSuffix(output, "\n"), "\n"); !matches(got, expected) {
			t.Errorf("%s\ngot:\n%s\nwant:\n%s", e, output, strings.Join(expected, "\n"))
		}
	}
}

// matches compares lines with patterns of lines.
func matches(got, want []string) bool {
	switch {
	case len(want) == 0:
		return len(got) == 0 || len(got) == 1 && got[0] == ""
	case want[0] == "...":
		for skip := range len(got) + 1 {
			if matches(got[skip:], want[1:]) {
				return true
			}
		}
		return false
	case len(got) == 0:
		return false
	}
	beginning, open := strings.CutSuffix(want[0], "...")
	if got[0] != want[0] && (!open || !strings.HasPrefix(got[0], beginning)) {
		return false
	}
	return len(got) == 1 && len(want) == 1 || matches(got[1:], want[1:])
}

// shell is a running bash that is fed one command after the other.
type shell struct {
	folder string
	input  io.Writer
	output *bufio.Reader
	jobs   int
}

// endMark tells the output of one command from that of the next.
const endMark = "--- end of the command ---"

func startShell(t *testing.T, port string, environment ...string) *shell {
	t.Helper()
	s := &shell{folder: t.TempDir()}
	command := exec.Command("bash", "--noprofile", "--norc")
	command.Dir = s.folder
	command.Env = saldotest.Environment(append(environment,
		"PATH="+filepath.Dir(saldotest.Binary(t))+string(filepath.ListSeparator)+os.Getenv("PATH"),
		"HOME="+s.folder,
		// What the examples leave to the default port goes to the session's own.
		"SALDO_LISTEN=127.0.0.1:"+port, "SALDO_URL=http://127.0.0.1:"+port,
	)...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // to end it with all that it started
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = writer, writer
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	shut(t, writer)
	s.input, s.output = input, bufio.NewReader(reader)
	t.Cleanup(func() {
		if err := syscall.Kill(-command.Process.Pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
		shut(t, input)
		command.Wait()
		io.Copy(io.Discard, s.output)
		shut(t, reader)
	})
	return s
}

// run runs a command and gives what it printed.
func (s *shell) run(t *testing.T, command string) string {
	t.Helper()
	if _, err := fmt.Fprintf(s.input, "%s\nprintf '\\n%%s\\n' '%s'\n", command, endMark); err != nil {
		t.Fatal(err)
	}
	var output strings.Builder
	for {
		line, err := s.output.ReadString('\n')
		if err != nil {
			t.Fatalf("the shell ended: %v\n%s", err, output.String())
		}
		if line == endMark+"\n" {
			return strings.TrimSuffix(output.String(), "\n")
		}
		output.WriteString(line)
	}
}

// runInBackground starts a command whose output does not mix with that of
// others, waits until a server listens, and gives the output until then.
func (s *shell) runInBackground(t *testing.T, command string, ports map[string]string) string {
	t.Helper()
	s.jobs++
	file := filepath.Join(s.folder, fmt.Sprintf(".job-%d", s.jobs))
	s.run(t, fmt.Sprintf("{ %s; } >%s 2>&1 &", command, file))
	if strings.Contains(command, "saldo serve") {
		awaitListener(t, command, ports)
	}
	output, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(output)
}

// awaitListener waits for the server at the port that the command names, or at
// the default one.
func awaitListener(t *testing.T, command string, ports map[string]string) {
	t.Helper()
	port := ports["8080"]
	for _, free := range ports {
		if strings.Contains(command, ":"+free) {
			port = free
		}
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			shut(t, conn)
			return
		}
	}
	t.Fatalf("nobody listens at port %s after $ %s &", port, command)
}

// freePort is a port that nobody listens at now.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, listener)
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

// TestMatches checks the comparison that TestDocs relies on.
func TestMatches(t *testing.T) {
	for _, test := range []struct {
		got, want string
		ok        bool
	}{
		{"", "", true},
		{"a", "", false},
		{"", "a", false},
		{"a", "a", true},
		{"a", "b", false},
		{"a|b", "a", false},
		{"a", "a|b", false},
		{"abc", "a...", true},
		{"abc", "b...", false},
		{"a|b|c", "...", true},
		{"a|b|c", "a|...", true},
		{"a|b|c", "...|c", true},
		{"a|b|c", "...|b", false},
		{"a|b|c", "a|...|d", false},
		{"a|c", "a|...|c", true},
	} {
		lines := func(text string) []string {
			if text == "" {
				return nil
			}
			return strings.Split(text, "|")
		}
		if matches(lines(test.got), lines(test.want)) != test.ok {
			t.Errorf("%s, %s: want %v", test.got, test.want, test.ok)
		}
	}
}
