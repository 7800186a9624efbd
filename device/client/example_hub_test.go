package client_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lxzan/gws"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// exampleHub is a hub that prints what it gets. After two frames it has the device blink, and then acknowledges them.
type exampleHub struct {
	gws.BuiltinEventHandler
	URL string
	TLS *tls.Config

	server *httptest.Server
	dir    string
	ended  chan struct{}
	schema *device.Schema
	seen   device.SeqSet
}

func startExampleHub() *exampleHub {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	h := &exampleHub{dir: dir, ended: make(chan struct{})}
	h.server = httptest.NewTLSServer(h)
	h.URL = strings.Replace(h.server.URL, "https", "wss", 1)
	h.TLS = h.server.Client().Transport.(*http.Transport).TLSClientConfig
	return h
}

func (h *exampleHub) TempFile(name string) string { return filepath.Join(h.dir, name) }

func (h *exampleHub) Close() {
	<-h.ended
	h.server.Close()
	os.RemoveAll(h.dir)
}

func (h *exampleHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := gws.NewUpgrader(h, &gws.ServerOption{SubProtocols: []string{device.Subprotocol}}).Upgrade(w, r)
	if err != nil {
		panic(err)
	}
	go conn.ReadLoop()
}

func (h *exampleHub) OnClose(*gws.Conn, error) { close(h.ended) }

func (h *exampleHub) OnMessage(conn *gws.Conn, message *gws.Message) {
	b := message.Bytes()
	send := func(m device.Message) { _ = conn.WriteMessage(gws.OpcodeBinary, device.AppendControl(nil, m)) }
	if device.Type(b[0]) == device.TypeData {
		var d device.Data
		if err := device.ParseData(b, h.schema, &d); err != nil {
			panic(err)
		}
		ch := &h.schema.Channels[0]
		v, _ := d.Columns[0].Value(0, ch)
		fmt.Printf("the hub stores %s %s\n", ch.Name, v.AppendText(nil))
		h.seen.Add(d.Seq)
		if h.seen.Count() == 2 {
			soon := time.Now().Add(time.Minute).UnixMicro()
			send(&device.Command{ID: device.CommandID{1}, Name: "blink", Deadline: soon, TTL: 60_000})
		}
		return
	}
	m, err := device.ParseControl(b)
	if err != nil {
		panic(err)
	}
	switch m := m.(type) {
	case *device.Hello:
		send(&device.Welcome{Device: "thermometer", Now: time.Now().UnixMicro(), NeedSchema: true,
			WindowFrames: 64, WindowBytes: 64 << 10, Idle: 60_000, FrameRate: 100})
	case *device.Schema:
		h.schema = m
	case *device.Result:
		fmt.Println("the hub hears of success:", m.Status == device.ResultSucceeded)
		send(&device.Ack{Ranges: h.seen.Ranges()})
	}
}
