package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"
)

// A load is one kind of request sent over many connections at once, each of
// which sends the next one when the last is answered.
type load struct {
	servers     []*process // the connections go round them
	connections int
	duration    time.Duration
	status      int                            // the status that every reply must have
	request     func(b []byte, n int64) []byte // appends the n-th request
	each        int                            // what one request counts for, 0 for one
}

// run sends the load. It speaks HTTP over bare connections, because net/http's
// client costs as much as the servers measured here and shares their cores.
func (l load) run(ctx context.Context) (result, error) {
	var next atomic.Int64
	used := l.cpu()
	r, err := timed(l.duration, l.connections, max(1, l.each), func(worker int, end time.Time) ([]time.Duration, error) {
		return l.connection(ctx, l.servers[worker%len(l.servers)].addr, &next, end)
	})
	if err != nil {
		return r, err
	}
	r.cpu = (l.cpu() - used) / time.Duration(r.count)
	return r, nil
}

// cpu is the processor time that the servers have used so far.
func (l load) cpu() (used time.Duration) {
	for _, server := range l.servers {
		used += server.cpu()
	}
	return used
}

func (l load) connection(ctx context.Context, addr string, next *atomic.Int64, end time.Time) ([]time.Duration, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// An interrupt ends the wait for a reply, and so does a server that gives none.
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := conn.SetDeadline(end.Add(replyTimeout)); err != nil {
		return nil, err
	}
	in := bufio.NewReader(conn)
	var request []byte
	return repeat(ctx, end, func(int) error {
		request = l.request(request[:0], next.Add(1))
		if _, err := conn.Write(request); err != nil {
			return err
		}
		return readReply(in, l.status)
	})
}

// replyTimeout is how long the last replies may take.
const replyTimeout = 30 * time.Second

var contentLength = []byte("content-length: ")

// readReply reads a reply whose length is given, and checks its status.
func readReply(in *bufio.Reader, want int) error {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return err
	}
	length := 0
	for {
		line, err = in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if len(line) > len(contentLength) && bytes.EqualFold(line[:len(contentLength)], contentLength) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(contentLength):]))); err != nil {
				return err
			}
		}
	}
	if status != want {
		body := make([]byte, min(length, 500))
		_, err := io.ReadFull(in, body)
		return errors.Join(fmt.Errorf("status %d: %s", status, body), err)
	}
	_, err = in.Discard(length)
	return err
}
