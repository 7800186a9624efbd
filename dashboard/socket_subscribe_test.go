package dashboard

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/stomp"
)

func TestS50SubscribeNeedsIDAndDestination(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	for _, headers := range [][]string{{"destination:/topic/hub"}, {"id:1"}, {}} {
		c := r.connect()
		c.frame("SUBSCRIBE", append(headers, "receipt:9")...)
		c.fails(4000, "SUBSCRIBE needs", "9")
	}
	c := r.connect()
	c.send(subscribeFrame("1", "/topic/hub"))
	c.message("1")
	c.send(subscribeFrame("1", "/topic/devices", "receipt:r"))
	c.fails(4000, "this id already", "r")
}

func TestS51AckModes(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	c := r.connect()
	for i, mode := range []string{"auto", "client", "client-individual"} {
		id := strconv.Itoa(i)
		c.send(subscribeFrame(id, "/topic/hub", "ack:"+mode))
		headers, _ := c.message(id)
		if _, has := headers.Get("ack"); has != (mode != "auto") {
			t.Errorf("%s: %v", mode, headers)
		}
	}
	for _, mode := range []string{"", "Auto", "client_individual"} {
		c := r.connect()
		c.send(subscribeFrame("1", "/topic/hub", "ack:"+mode, "receipt:r"))
		c.fails(4000, "ack must be", "r")
	}
}

func TestS52UnknownDestinations(t *testing.T) {
	r := newLiveRig(t, rigOptions{}, "pump")
	var texts []string
	for _, destination := range []string{"", "/", "/topic", "/topic/", "/topic/hub/", "/topic/Hub", "/topic/devices/", "/topic/devices/pump",
		"/topic/devices/pump/secrets", "/topic/devices/nobody/secrets", "/queue/x", "topic/hub", "/topic/devices//readings", "/user/queue/x"} {
		c := r.connect()
		c.send(subscribeFrame("1", destination, "receipt:r"))
		texts = append(texts, c.fails(4000, "", "r").Headers.Value("message"))
	}
	for _, text := range texts {
		if text != texts[0] {
			t.Errorf("%q is not %q", text, texts[0])
		}
	}
	c := r.connect()
	c.send(subscribeFrame("1", "/topic/devices", "sort:color"))
	c.fails(4000, "sort is one of", "")
}

// S-53, for subscribing; TestS78 has the rest. UNSUBSCRIBE looks at the id only.
func TestS53UnsubscribeByID(t *testing.T) {
	t.Parallel()
	r := newLiveRig(t, rigOptions{})
	c := r.connect()
	c.send(subscribeFrame("1", "/topic/hub"))
	c.send(subscribeFrame("2", "/topic/devices"))
	c.frame("UNSUBSCRIBE", "id:2", "destination:/topic/hub", "receipt:r")
	c.expect(stomp.Receipt)
	for range 3 {
		if f := c.expect(stomp.Message); f.Headers.Value("subscription") != "1" {
			t.Fatal(f.Headers)
		}
	}
}

func TestS54TwoSubscriptionsToOneDestination(t *testing.T) {
	r := newLiveRig(t, rigOptions{}, "pump")
	c := r.connect()
	c.send(subscribeFrame("a", "/topic/devices/pump/readings") + subscribeFrame("b", "/topic/devices/pump/readings"))
	for _, id := range []string{"a", "b"} {
		headers, body := c.message(id)
		if body["kind"] != "snapshot" || headers.Value("destination") != "/topic/devices/pump/readings" {
			t.Errorf("%v %v", headers, body)
		}
	}
	r.read("pump", 2134)
	for _, id := range []string{"a", "b"} {
		c.until(id, "the reading", func(body map[string]any) bool { return strings.Contains(fmt.Sprint(body), "21.34") })
	}
}

func TestS55AfterUnsubscribe(t *testing.T) {
	t.Parallel()
	r := newLiveRig(t, rigOptions{tick: time.Millisecond}, "pump")
	c := r.connect()
	for i := range 20 {
		id := strconv.Itoa(i % 2) // ids are used again
		c.send(subscribeFrame(id, "/topic/devices/pump/readings"))
		_, body := c.message(id)
		if body["kind"] != "snapshot" {
			t.Fatalf("%d: %v", i, body)
		}
		r.read("pump", int64(i))
		c.frame("UNSUBSCRIBE", "id:"+id, "receipt:"+strconv.Itoa(i))
		c.expect(stomp.Receipt)
		r.read("pump", int64(i))
		c.frame("BEGIN", "transaction:t"+strconv.Itoa(i), "receipt:after")
		if f := c.next(); f.Command != stomp.Receipt {
			t.Fatalf("%d: %s %v after the receipt of UNSUBSCRIBE", i, f.Command, f.Headers)
		}
		c.frame("ABORT", "transaction:t"+strconv.Itoa(i))
	}
	c.frame("UNSUBSCRIBE", "id:0", "receipt:x")
	c.fails(4000, "no subscription", "x")
}

func TestS56HeadersOfAMessage(t *testing.T) {
	t.Parallel()
	r := newLiveRig(t, rigOptions{}, "pump")
	c := r.connect()
	c.send(subscribeFrame("s\\c\\\\1", "/topic/devices/pump/readings", "ack:client"))
	seen := map[string]bool{}
	for range 4 {
		f := c.expect(stomp.Message)
		h := f.Headers
		if h.Value("subscription") != `s:\1` || h.Value("destination") != "/topic/devices/pump/readings" || h.Value("content-type") != "application/json" ||
			h.Value("content-length") != strconv.Itoa(len(f.Body)) || len(f.Body) == 0 || h.Value("ack") == "" || len(h.Value("epoch")) < 8 {
			t.Errorf("%v", h)
		}
		if id := h.Value("message-id"); id == "" || seen[id] {
			t.Errorf("message-id %q", id)
		} else {
			seen[id] = true
		}
		if _, err := strconv.ParseUint(h.Value("offset"), 10, 64); err != nil {
			t.Error(err)
		}
		for _, name := range []string{"resumed", "missed", "dropped"} {
			if v, ok := h.Get(name); ok {
				t.Errorf("%s:%s", name, v)
			}
		}
	}
}

func TestS58Order(t *testing.T) {
	r := newLiveRig(t, rigOptions{tick: time.Millisecond}, "pump")
	c := r.connect()
	c.send(subscribeFrame("1", "/topic/devices/pump/readings"))
	c.message("1")
	const n = 200
	go func() {
		for i := range n {
			r.read("pump", int64(i))
		}
	}()
	var offset uint64
	last := -2.0
	for last < n-1 {
		headers, body := c.message("1")
		at, _ := strconv.ParseUint(headers.Value("offset"), 10, 64)
		if at <= offset {
			t.Fatalf("offset %d after %d", at, offset)
		}
		offset = at
		points, _ := body["points"].(map[string]any)
		list, _ := points["1"].([]any)
		for _, p := range list {
			if v := p.([]any)[1].(float64) * 100; v < last {
				t.Fatalf("%v after %v", v, last)
			} else {
				last = v
			}
		}
	}
}

// A resumed subscription says whether anything was missed.
func TestResume(t *testing.T) {
	t.Parallel()
	r := newLiveRig(t, rigOptions{}, "pump")
	const to = "/topic/devices/pump/readings"
	c := r.connect()
	c.send(subscribeFrame("1", to))
	c.message("1")
	h, _ := c.message("1")
	for _, resume := range []struct{ epoch, offset, resumed, missed, kind string }{
		{h.Value("epoch"), h.Value("offset"), "true", "0", "update"},
		{"another", h.Value("offset"), "false", "unknown", "snapshot"},
		{h.Value("epoch"), "999999999999", "false", "unknown", "snapshot"},
	} {
		c.frame("UNSUBSCRIBE", "id:1")
		c.send(subscribeFrame("1", to, "epoch:"+resume.epoch, "offset:"+resume.offset))
		got, body := c.message("1")
		if got.Value("resumed") != resume.resumed || got.Value("missed") != resume.missed || body["kind"] != resume.kind {
			t.Errorf("%v: %v %v", resume, got, body["kind"])
		}
		if got, _ := c.message("1"); got.Value("resumed") != "" {
			t.Error("said twice")
		}
	}
	c.send(subscribeFrame("2", to, "epoch:x", "offset:-1"))
	c.fails(4000, "epoch needs an offset", "")
}

func TestS59Acknowledging(t *testing.T) {
	r := newLiveRig(t, rigOptions{tick: time.Millisecond}, "pump")
	ids := func(c *stompClient, sub string, n int) (acks []string) {
		for range n {
			r.read("pump", 1)
			h, _ := c.message(sub)
			acks = append(acks, h.Value("ack"))
		}
		return acks
	}
	t.Run("cumulative", func(t *testing.T) {
		c := r.connect()
		c.send(subscribeFrame("1", "/topic/devices/pump/readings", "ack:client"))
		acks := ids(c, "1", 4)
		c.frame("ACK", "id:"+acks[2])
		c.receipt()
		c.frame("ACK", "id:"+acks[3])
		c.receipt()
		c.frame("ACK", "id:"+acks[1], "receipt:r") // by the third already
		c.fails(4000, "waits for none", "r")
	})
	t.Run("individual", func(t *testing.T) {
		c := r.connect()
		c.send(subscribeFrame("1", "/topic/devices/pump/readings", "ack:client-individual"))
		acks := ids(c, "1", 4)
		for _, i := range []int{2, 0, 3, 1} {
			c.frame("NACK", "id:"+acks[i])
			c.receipt()
		}
		c.frame("ACK", "id:"+acks[2])
		c.fails(4000, "waits for none", "")
	})
	t.Run("in a transaction", func(t *testing.T) {
		c := r.connect()
		c.send(subscribeFrame("1", "/topic/devices/pump/readings", "ack:client-individual"))
		acks := ids(c, "1", 2)
		for _, end := range []string{"ABORT", "COMMIT"} {
			c.frame("BEGIN", "transaction:t")
			c.frame("ACK", "id:"+acks[0], "transaction:t")
			c.frame(end, "transaction:t")
			c.receipt()
		}
		c.frame("ACK", "id:"+acks[0])
		c.fails(4000, "waits for none", "")
	})
	for _, id := range []string{"", "x", "0", "999", "-1"} {
		c := r.connect()
		c.frame("ACK", "id:"+id, "receipt:r")
		c.fails(4000, "ACK", "r")
	}
}

// S-59: without ACKs a subscription pauses, and then goes on with the newest state.
func TestS59WindowOfUnacknowledged(t *testing.T) {
	t.Parallel()
	r := newLiveRig(t, rigOptions{tick: time.Millisecond}, "pump")
	c := r.connect()
	c.send(subscribeFrame("1", "/topic/devices/pump/readings", "ack:client"))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				r.read("pump", int64(i))
				time.Sleep(time.Millisecond)
			}
		}
	}()
	var last stomp.Headers
	for range maxUnacked {
		last, _ = c.message("1")
	}
	close(stop)
	<-stopped
	r.read("pump", 4242)
	// What else comes meanwhile is not from this subscription.
	c.send(subscribeFrame("2", "/topic/devices/pump/readings"))
	for value := ""; value != "42.42"; {
		f := c.expect(stomp.Message)
		if f.Headers.Value("subscription") != "2" {
			t.Fatal("a MESSAGE beyond the window")
		}
		value = string(f.Body[bytes.Index(f.Body, []byte(`"text":"`))+8:][:5])
	}
	c.frame("ACK", "id:"+last.Value("ack"))
	headers, body := c.message("1")
	if headers.Value("resumed") == "" || !strings.Contains(fmt.Sprint(body), "42.42") {
		t.Errorf("%v %v", headers, body)
	}
}

// S-60: a viewer that does not read gets fewer, newer messages, is told so, and harms nobody.
func TestS60SlowViewer(t *testing.T) {
	t.Parallel()
	names := make([]string, 40)
	for i := range names {
		names[i] = fmt.Sprintf("device-%02d-%s", i, strings.Repeat("x", 40))
	}
	// On a busy machine what comes meanwhile may take longer than a viewer may take to read: this one is not to be cut.
	r := newLiveRig(t, rigOptions{tick: 5 * time.Millisecond, pace: func(p *livePace) { p.write = time.Hour }}, names...)
	slow, good := r.connect(), r.connect()
	for i := range 4 {
		slow.send(subscribeFrame(strconv.Itoa(i), "/topic/devices/*/readings"))
	}
	for _, name := range names {
		slow.send(subscribeFrame(name, "/topic/devices/"+name+"/readings"))
	}
	good.send(subscribeFrame("1", "/topic/devices/*/readings"))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				for _, name := range names {
					r.read(name, int64(i))
				}
				time.Sleep(5 * time.Millisecond)
			}
		}
	}()
	// It reads nothing until its buffers are full, which shows when it gets something again.
	for range 200 {
		good.message("1")
	}
	dropped := 0
	for read := 0; dropped == 0 && read < 20_000; read++ {
		f := slow.expect(stomp.Message)
		if v, ok := f.Headers.Get("dropped"); ok {
			dropped, _ = strconv.Atoi(v)
		}
	}
	if dropped == 0 {
		t.Error("nothing was dropped")
	}
	close(stop)
	<-stopped
	good.message("1")
}

func TestViewerThatDoesNotReadIsCut(t *testing.T) {
	r := newLiveRig(t, rigOptions{tick: time.Millisecond, pace: func(p *livePace) { p.write = 500 * time.Millisecond }}, "pump")
	c := r.connect()
	for i := range 50 {
		c.send(subscribeFrame(strconv.Itoa(i), "/topic/devices/pump/readings"))
	}
	began := time.Now()
	for i := 0; r.watching() > 0; i++ {
		r.read("pump", int64(i))
		if time.Since(began) > patience {
			t.Fatal("still connected")
		}
		time.Sleep(time.Millisecond)
	}
	if !strings.Contains(r.logged.String(), "the viewer does not read") {
		t.Error("the log does not say why")
	}
}

func TestS61Limits(t *testing.T) {
	t.Parallel()
	r := newLiveRig(t, rigOptions{})
	c := r.connect()
	c.send(subscribeFrame("x", "/topic/hub/"+strings.Repeat("x", maxDestination)))
	c.fails(4000, "at most 256 bytes", "")

	c = r.connect()
	burst := ""
	for i := range maxSubscriptions + 1 { // faster than is allowed: it is read more slowly
		burst += subscribeFrame(strconv.Itoa(i), "/topic/hub")
	}
	began := time.Now()
	c.write(wsFrame(0x82, []byte(burst[:len(burst)/2])))
	c.write(wsFrame(0x82, []byte(burst[len(burst)/2:])))
	c.fails(4000, "at most 256 subscriptions", "")
	if took := time.Since(began); took < 8*time.Second {
		t.Errorf("%d frames took %v", maxSubscriptions, took)
	}
}

func TestTextMustBeUTF8(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	c := r.connect()
	c.write(wsFrame(0x81, []byte("\xff")))
	c.closed(1007)
}

// S-24: text and binary messages are one stream of octets; S-22: a frame may be cut anywhere, even inside a letter.
func TestS22S24OneStream(t *testing.T) {
	t.Parallel()
	r := newLiveRig(t, rigOptions{}, "pump")
	c := r.connect()
	text := subscribeFrame("ä", "/topic/devices/pump/readings", "receipt:ö")
	for i := range len(text) {
		if i < 10 {
			c.send(text[i : i+1])
		} else {
			c.write(wsFrame(0x82, []byte(text[i:i+1])))
		}
	}
	if f := c.expect(stomp.Receipt); f.Headers.Value("receipt-id") != "ö" {
		t.Errorf("%v", f.Headers)
	}
	c.message("ä")
}

func TestPing(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	c := r.connect()
	c.write(wsFrame(0x89, []byte("echo")))
	b := make([]byte, 6)
	if _, err := io.ReadFull(c.br, b); err != nil || string(b) != "\x8a\x04echo" {
		t.Errorf("%q %v", b, err)
	}
}
