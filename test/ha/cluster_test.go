package ha

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	randv2 "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
)

// patience bounds every wait for something that happens in seconds.
const patience = 2 * time.Minute

// documents is where the files are that docs/high-availability.md shows.
const documents = "../../deploy/ha"

// servers is how many of them the files are written for.
const servers = 3

// server is a machine with a member of etcd, Patroni, and PostgreSQL.
type server struct {
	name    string
	folder  string
	ports   map[string]string // from the port of the documents to the one of this run
	etcd    *guarded
	patroni *guarded
}

func (s *server) url(port, path string) string { return "http://127.0.0.1:" + s.ports[port] + path }

// cluster is three servers, each at an address of the documents.
type cluster struct {
	folder   string
	programs string // of PostgreSQL
	account  *syscall.Credential
	servers  [servers]*server
	secrets  map[string]string // by what stands for them in the documents
}

// newCluster starts the servers and waits until two follow the leader.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	for _, program := range []string{"/usr/bin/etcd", "/usr/bin/patroni"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v: install Debian's packages etcd-server, patroni and python3-etcd, which \"make needs\" does", err)
		}
	}
	c := &cluster{secrets: map[string]string{}}
	var err error
	if c.programs, err = programs(); err != nil {
		t.Fatal(err)
	}
	if c.account, err = pgtest.Account(); err != nil {
		t.Fatal(err)
	}
	//nolint:usetesting // Another account has no way into the folder of the test.
	if c.folder, err = os.MkdirTemp("", "saldo-ha-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.close(t) })
	c.own(t, c.folder)
	taken := map[string]bool{}
	for i := range c.servers {
		name := fmt.Sprintf("db%d", i+1)
		s := &server{name: name, folder: filepath.Join(c.folder, name), ports: map[string]string{}}
		for _, port := range []string{"2379", "2380", "5432", "8008"} {
			s.ports[port] = freePort(t, taken)
		}
		if err := os.Mkdir(s.folder, 0o700); err != nil {
			t.Fatal(err)
		}
		c.own(t, s.folder)
		c.servers[i] = s
	}
	for i := range c.servers {
		c.start(t, i)
	}
	c.await(t, "the new cluster", c.whole)
	return c
}

// programs is where those of PostgreSQL are, of which Patroni needs more than
// may stand in the path.
func programs() (string, error) {
	folder, err := pgtest.Programs()
	if err != nil {
		return "", err
	}
	initdb, err := filepath.EvalSymlinks(filepath.Join(folder, "initdb"))
	return filepath.Dir(initdb), err
}

// own gives a file to the account that the servers run under.
func (c *cluster) own(t *testing.T, path string) {
	t.Helper()
	if c.account == nil {
		return
	}
	if err := os.Chown(path, int(c.account.Uid), int(c.account.Gid)); err != nil {
		t.Fatal(err)
	}
}

// freePort finds a port below those that the system hands out, so that nobody
// gets it by chance while its server is down.
func freePort(t *testing.T, taken map[string]bool) string {
	t.Helper()
	for range 1000 {
		port := strconv.Itoa(20000 + randv2.IntN(12000))
		listener, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil || taken[port] {
			continue
		}
		listener.Close()
		taken[port] = true
		return port
	}
	t.Fatal("there is no free port")
	return ""
}

// render gives a document as it is for one server, with the addresses, folders
// and secrets of this run.
func (c *cluster) render(t *testing.T, document string, server int) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(documents, document))
	if err != nil {
		t.Fatal(err)
	}
	own := c.servers[server]
	pairs := []string{
		"10.0.0.0/24", "127.0.0.0/8",
		"10.0.0.21:8080", "127.0.0.1:0",
		"/var/lib/postgresql/15/saldo", filepath.Join(own.folder, "data"),
		"/var/lib/postgresql/saldo.pgpass", filepath.Join(own.folder, "pgpass"),
		"/var/lib/etcd/saldo", filepath.Join(own.folder, "etcd"),
		"/var/run/postgresql", own.folder,
		"/usr/lib/postgresql/15/bin", c.programs,
	}
	for i, s := range c.servers {
		for documented, free := range s.ports {
			pairs = append(pairs, fmt.Sprintf("10.0.0.1%d:%s", i+1, documented), "127.0.0.1:"+free)
		}
	}
	for _, name := range []string{"restapi", "superuser", "replication", "rewind", "saldo"} {
		if c.secrets[name] == "" {
			c.secrets[name] = rand.Text()
		}
		pairs = append(pairs, "SECRET-"+name, c.secrets[name])
	}
	replacer := strings.NewReplacer(pairs...)
	var result strings.Builder
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		// What stands there without the other servers is a server's own.
		if !strings.Contains(line, "10.0.0.12") {
			line = strings.NewReplacer("10.0.0.11", fmt.Sprintf("10.0.0.1%d", server+1), "db1", own.name).Replace(line)
		}
		if line = replacer.Replace(line); strings.Contains(line, "10.0.0.") || strings.Contains(line, "SECRET") {
			t.Fatalf("%s has something that the test does not know: %s", document, line)
		}
		result.WriteString(line)
	}
	return result.String()
}

// start starts whatever of a server does not run.
func (c *cluster) start(t *testing.T, number int) {
	t.Helper()
	s := c.servers[number]
	environment := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + s.folder, "LC_ALL=C.UTF-8"}
	var err error
	if s.etcd == nil || s.etcd.gone() {
		settings := strings.Fields(c.render(t, "etcd.env", number))
		s.etcd, err = launch(s.folder, filepath.Join(s.folder, "etcd.log"), c.account, slices.Concat(environment, settings), "/usr/bin/etcd")
		if err != nil {
			t.Fatal(err)
		}
	}
	if s.patroni == nil || s.patroni.gone() {
		config := filepath.Join(s.folder, "patroni.yml")
		if err := os.WriteFile(config, []byte(c.render(t, "patroni.yml", number)), 0o600); err != nil {
			t.Fatal(err)
		}
		c.own(t, config)
		s.patroni, err = launch(s.folder, filepath.Join(s.folder, "patroni.log"), c.account, environment, "/usr/bin/patroni", config)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// kill ends everything that runs on a server by SIGKILL.
func (s *server) kill(t *testing.T) {
	t.Helper()
	ended := make(chan error, 2)
	for _, program := range []*guarded{s.patroni, s.etcd} { // at the same time
		go func() { ended <- program.kill() }()
	}
	if err := errors.Join(<-ended, <-ended); err != nil {
		t.Fatal(err)
	}
}

// killPostgres ends PostgreSQL alone by SIGKILL, and leaves Patroni to find out.
func (s *server) killPostgres(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.folder, "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil || pid <= 1 {
		t.Fatalf("postmaster.pid: %s, %v", text, err)
	}
	signal(syscall.SIGKILL, append([]int{pid}, descendants(pid)...))
}

// freeze stops everything that runs on a server, as a machine does that hangs:
// its connections stay, and nobody answers.
func (s *server) freeze() { s.signalAll(syscall.SIGSTOP) }

// thaw lets a server go on, which does not know that it was away.
func (s *server) thaw() { s.signalAll(syscall.SIGCONT) }

func (s *server) signalAll(which syscall.Signal) {
	for range 3 { // a process may start another before it stops
		signal(which, append(s.patroni.pids(), s.etcd.pids()...))
	}
}

// member is a server as Patroni knows it.
type member struct {
	Name, Role, State string
	Timeline          int
}

// ask asks Patroni of a server, and gives the status and the reply.
func (s *server) ask(ctx context.Context, method, path, password, body string) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, s.url("8008", path), strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if password != "" {
		r.SetBasicAuth("patroni", password)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, text, err
}

// is tells whether Patroni says that its PostgreSQL is what is asked for:
// "primary", "replica", "sync" or "async".
func (s *server) is(ctx context.Context, what string) bool {
	status, _, err := s.ask(ctx, http.MethodGet, "/"+what, "", "")
	return err == nil && status == http.StatusOK
}

// leader is the number of the server that takes writes. An error says that there is none.
func (c *cluster) leader(ctx context.Context) (int, error) {
	for i, s := range c.servers {
		if s.is(ctx, "primary") {
			return i, nil
		}
	}
	return 0, errors.New("no server is the leader")
}

// synchronous is the number of the server that has every acknowledged commit.
func (c *cluster) synchronous(ctx context.Context) (int, error) {
	for i, s := range c.servers {
		if s.is(ctx, "sync") {
			return i, nil
		}
	}
	return 0, errors.New("no server is the synchronous one")
}

// whole tells, by an error, what is missing: one leader, one synchronous
// server, and one more that follows, all of one timeline.
func (c *cluster) whole(ctx context.Context) error {
	leader, err := c.leader(ctx)
	if err != nil {
		return err
	}
	if _, err := c.synchronous(ctx); err != nil {
		return err
	}
	for i, s := range c.servers {
		if i != leader && !s.is(ctx, "replica") {
			return errors.New(s.name + " is no replica")
		}
		if status, text, err := s.askEtcd(ctx); err != nil || status != http.StatusOK {
			return fmt.Errorf("etcd of %s: %d %s, %w", s.name, status, text, err)
		}
	}
	_, text, err := c.servers[leader].ask(ctx, http.MethodGet, "/cluster", "", "")
	if err != nil {
		return err
	}
	var known struct{ Members []member }
	if err := json.Unmarshal(text, &known); err != nil {
		return err
	}
	for _, m := range known.Members {
		if m.Timeline != known.Members[leader].Timeline {
			return fmt.Errorf("timelines differ: %+v", known.Members)
		}
	}
	if len(known.Members) != servers {
		return fmt.Errorf("members are missing: %+v", known.Members)
	}
	return nil
}

// askEtcd asks a member of etcd whether it is well.
func (s *server) askEtcd(ctx context.Context) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url("2379", "/health"), http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, text, err
}

// await waits until there is nothing wrong any more.
func (c *cluster) await(t *testing.T, what string, wrong func(context.Context) error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := wrong(t.Context())
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// succession waits for a leader that is not the old one.
func (c *cluster) succession(t *testing.T, old int) {
	t.Helper()
	c.await(t, "the next leader", func(ctx context.Context) error {
		for i, s := range c.servers {
			if i != old && s.is(ctx, "primary") {
				return nil
			}
		}
		return errors.New("there is none")
	})
}

// switchover lets Patroni make the synchronous server the leader, as before the
// maintenance of a machine.
func (c *cluster) switchover(t *testing.T, from int) {
	t.Helper()
	c.await(t, "the switchover", func(ctx context.Context) error {
		if now, err := c.leader(ctx); err == nil && now != from {
			return nil
		}
		to, err := c.synchronous(ctx)
		if err != nil {
			return err
		}
		body := fmt.Sprintf(`{"leader":%q,"candidate":%q}`, c.servers[from].name, c.servers[to].name)
		status, text, err := c.servers[from].ask(ctx, http.MethodPost, "/switchover", c.secrets["restapi"], body)
		return fmt.Errorf("%d %s, %w", status, text, err)
	})
}

// createDatabase runs the statements that the documents show, on the leader.
func (c *cluster) createDatabase(t *testing.T) {
	t.Helper()
	leader, err := c.leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("postgres://postgres:%s@127.0.0.1:%s/postgres", c.secrets["superuser"], c.servers[leader].ports["5432"])
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for statement := range strings.SplitSeq(c.render(t, "database.sql", leader), ";\n") {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// close ends all servers, makes sure that nothing is left of them, and shows
// what they said where the test has failed.
func (c *cluster) close(t *testing.T) {
	for _, s := range c.servers {
		if s != nil {
			s.kill(t)
		}
	}
	if left := livesIn(c.folder); len(left) > 0 {
		t.Errorf("still there: %s", strings.Join(left, "\n"))
	}
	if t.Failed() {
		logs, _ := filepath.Glob(filepath.Join(c.folder, "*", "*.log"))
		for _, log := range logs {
			text, _ := os.ReadFile(log)
			t.Logf("%s:\n…%s", filepath.Base(filepath.Dir(log))+"/"+filepath.Base(log), text[max(0, len(text)-4000):])
		}
	}
	if err := os.RemoveAll(c.folder); err != nil {
		t.Error(err)
	}
}
