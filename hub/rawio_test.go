package hub

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// tcpPair returns the two ends of a connection.
func tcpPair(t *testing.T) (hub *gatedConn, peer *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialed, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dialed.Close(); _ = accepted.Close() })
	hub = &gatedConn{Conn: accepted, raw: newRawIO(accepted)}
	hub.admitted.Store(true)
	return hub, dialed.(*net.TCPConn)
}

// A peer that reads slowly gets all of a write that is longer than any buffer.
func TestRawIOWritesAll(t *testing.T) {
	conn, peer := tcpPair(t)
	sent := bytes.Repeat([]byte("telemetry"), 1<<20)
	wrote := make(chan error, 1)
	go func() {
		n, err := conn.Write(sent)
		if err == nil && n != len(sent) {
			err = io.ErrShortWrite
		}
		wrote <- errors.Join(err, conn.Conn.(*net.TCPConn).CloseWrite())
	}()
	time.Sleep(20 * time.Millisecond)
	got, err := io.ReadAll(peer)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes, %v", len(got), len(sent), err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

// How a connection ends is told as package net tells it.
func TestRawIOErrors(t *testing.T) {
	conn, peer := tcpPair(t)
	b := make([]byte, 8)
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	_, err := conn.Read(b)
	if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	_ = conn.SetReadDeadline(time.Time{})
	_, _ = peer.Write([]byte("last"))
	_ = peer.CloseWrite()
	if n, err := io.ReadFull(conn, b[:4]); err != nil || string(b[:n]) != "last" {
		t.Errorf("%q %v", b[:n], err)
	}
	if _, err := conn.Read(b); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}

	conn, peer = tcpPair(t)
	_ = peer.SetLinger(0)
	_ = peer.Close()
	if operation, ok := errors.AsType[*net.OpError](readUntil(conn)); !ok || operation.Op != "read" {
		t.Errorf("after a reset: %v", readUntil(conn))
	}

	conn, _ = tcpPair(t)
	ended := make(chan error, 1)
	go func() { ended <- readUntil(conn) }()
	time.Sleep(10 * time.Millisecond)
	_ = conn.Conn.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed while waiting: %v", err)
	}
}

// readUntil reads until there is an error.
func readUntil(conn net.Conn) error {
	_, err := io.Copy(io.Discard, conn)
	if err == nil {
		err = io.EOF
	}
	return err
}
