package sim

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
)

// cut says when a connection is cut that commits.
type cut uint8

const (
	uncut        cut = iota
	beforeCommit     // the server never hears of the commit
	afterCommit      // the server commits, and nobody hears of that
)

// proxy stands between a node and the database server, so that the node's
// connections can be cut as a network or a death would cut them.
type proxy struct {
	listener net.Listener
	server   string
	group    sync.WaitGroup

	mu     sync.Mutex
	links  map[*link]struct{}
	next   cut // what the next commit meets
	closed bool
}

// link is one connection through a proxy.
type link struct {
	client, server net.Conn
	deaf           bool // nothing that the server says is passed on; guarded by the proxy
}

func (l *link) close() {
	l.client.Close()
	l.server.Close()
}

func newProxy(server string) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: listener, server: server, links: map[*link]struct{}{}}
	p.group.Go(p.accept)
	return p, nil
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // it was closed
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			client.Close()
			continue
		}
		p.serve(&link{client: client, server: server})
	}
}

func (p *proxy) serve(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		l.close()
		return
	}
	p.links[l] = struct{}{}
	p.group.Go(func() { p.pass(l, l.client, l.server, p.request) })
	p.group.Go(func() { p.pass(l, l.server, l.client, p.reply) })
}

// pass passes on what comes from one side, as long as it may.
func (p *proxy) pass(l *link, from io.Reader, to io.Writer, may func(l *link, bytes []byte) bool) {
	defer p.drop(l)
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil || !may(l, buffer[:n]) {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// request tells whether the server is told what its client says. A commit is a
// message of its own, and never parted.
func (p *proxy) request(l *link, message []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == uncut || !bytes.Contains(message, []byte("COMMIT\x00")) {
		return true
	}
	l.deaf = true
	passed := p.next == afterCommit
	p.next = uncut
	return passed
}

// reply tells whether a client is told what the server says.
func (p *proxy) reply(l *link, _ []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !l.deaf
}

// arm lets the next commit meet a cut.
func (p *proxy) arm(c cut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = c
}

func (p *proxy) drop(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.close()
	delete(p.links, l)
}

// cutAll cuts every connection that there is, wherever it stands.
func (p *proxy) cutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.close()
	}
}

// close ends the proxy with all its connections.
func (p *proxy) close() error {
	err := p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cutAll()
	p.group.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
