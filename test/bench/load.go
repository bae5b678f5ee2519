package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A load is one kind of request sent over many connections at once, each of
// which sends the next one when the last is answered.
type load struct {
	server      *process
	connections int
	duration    time.Duration
	status      int                            // the status that every reply must have
	request     func(b []byte, n int64) []byte // appends the n-th request
	each        int                            // what one request counts for, 0 for one
}

// result is what a load measured.
type result struct {
	count    int
	rate     float64 // requests a second, or what they count for
	p50, p99 time.Duration
	cpu      time.Duration // of the server, for each of these
}

// run sends the load. It speaks HTTP over bare connections, because net/http's
// client costs as much as the servers measured here and shares their cores.
func (l load) run() (result, error) {
	var next atomic.Int64
	var mu sync.Mutex
	var all []time.Duration
	var failures []error
	used := l.server.cpu()
	began := time.Now()
	end := began.Add(l.duration)
	var group sync.WaitGroup
	for range l.connections {
		group.Go(func() {
			took, err := l.connection(&next, end)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			if err != nil {
				failures = append(failures, err)
			}
		})
	}
	group.Wait()
	if err := errors.Join(failures...); err != nil {
		return result{}, err
	}
	elapsed := time.Since(began)
	slices.Sort(all)
	count := len(all) * max(1, l.each)
	return result{
		count: count,
		rate:  float64(count) / elapsed.Seconds(),
		p50:   all[len(all)/2],
		p99:   all[len(all)*99/100],
		cpu:   (l.server.cpu() - used) / time.Duration(count),
	}, nil
}

func (l load) connection(next *atomic.Int64, end time.Time) ([]time.Duration, error) {
	conn, err := net.Dial("tcp", l.server.addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	var request []byte
	took := make([]time.Duration, 0, 1<<16)
	for {
		sent := time.Now()
		if sent.After(end) {
			return took, nil
		}
		request = l.request(request[:0], next.Add(1))
		if _, err := conn.Write(request); err != nil {
			return took, err
		}
		if err := readReply(in, l.status); err != nil {
			return took, err
		}
		took = append(took, time.Since(sent))
	}
}

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

// post makes a request with a body.
func post(b []byte, path, headers string, body []byte) []byte {
	b = append(b, "POST "...)
	b = append(b, path...)
	b = append(b, " HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"...)
	b = append(b, headers...)
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\r\n\r\n"...)
	return append(b, body...)
}
