package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/lxzan/gws"

	"github.com/telemetry-hub/telemetry-hub/device"
)

const (
	connectTimeout = 20 * time.Second // TCP, TLS and WebSocket handshake together
	writeTimeout   = 10 * time.Second // for one message
	readBuffer     = 512              // bytes; what a hub sends is short
)

// deadlineConn gives every write a deadline: a hub that does not read must not hold the device up for ever.
type deadlineConn struct{ net.Conn }

func (c deadlineConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// dial connects to the hub and does the WebSocket handshake (RFC 6455 §4.1). raw is the TCP connection below.
func (c *Client) dial(ctx context.Context, events gws.Event) (*gws.Conn, net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	port := c.url.Port()
	if port == "" {
		port = "443"
	}
	raw, err := c.cfg.Dial(ctx, "tcp", net.JoinHostPort(c.url.Hostname(), port))
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	conn, err := c.handshake(ctx, events, raw)
	if err != nil {
		raw.Close()
		if ctx.Err() != nil {
			err = fmt.Errorf("no connection within %v: %w", connectTimeout, ctx.Err())
		}
		return nil, nil, err
	}
	return conn, raw, nil
}

func (c *Client) handshake(ctx context.Context, events gws.Event, raw net.Conn) (*gws.Conn, error) {
	secure := tls.Client(raw, c.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	conn, response, err := gws.NewClientFromConn(events, &gws.ClientOption{
		Addr:               c.url.String(),
		ReadBufferSize:     readBuffer,
		ReadMaxPayloadSize: device.MaxMessage,
		ParallelGolimit:    1,
		NewSession:         func() gws.SessionStorage { return nil },
		// Longer than writeTimeout: gws leaves a goroutine behind if it gives up before the write of the request does.
		HandshakeTimeout: 2 * connectTimeout,
		RequestHeader: http.Header{
			"Authorization":          {"Bearer " + c.cfg.Token},
			"Sec-Websocket-Protocol": {device.Subprotocol},
		},
	}, deadlineConn{secure})
	if err != nil && response != nil && response.StatusCode != http.StatusSwitchingProtocols {
		// What of the text has arrived with the headers says what to mend. The connection is closed already.
		text, _ := io.ReadAll(io.LimitReader(response.Body, device.MaxText))
		err = &refusedError{
			status:     response.Status,
			text:       strings.TrimSpace(strings.ToValidUTF8(string(text), "")),
			code:       response.StatusCode,
			retryAfter: retryAfter(response.Header, time.Now()),
		}
	}
	return conn, err
}

// retryAfter reads Retry-After (RFC 9110 §10.2.3); 0 if there is none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
