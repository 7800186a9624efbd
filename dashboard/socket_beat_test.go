package dashboard

import (
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/stomp"
)

func TestS40HeartBeatHeader(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	for _, value := range []string{"10", "a,b", "-1,0", ""} {
		c := r.dial(r.offering()...)
		c.send("CONNECT\naccept-version:1.2\nheart-beat:" + value + "\n\n\x00")
		c.fails(4000, "heart-beat", "")
	}
}

// S-41, S-42, S-44: the hub is heard within what the client wants, but not more often than it offers; nothing is needed
// while MESSAGEs flow, and nothing comes for who wants nothing.
func TestS42HubIsHeard(t *testing.T) {
	t.Parallel()
	r := newLiveRig(t, rigOptions{pace: func(p *livePace) { p.beat = 50 * time.Millisecond }})
	beats := func(header string, during time.Duration) (n int, longest time.Duration) {
		c := r.dial(r.offering()...)
		c.send("CONNECT\naccept-version:1.2\n" + header + "\n\x00")
		if f := c.expect(stomp.Connected); f.Headers.Value("heart-beat") != "50,50" {
			t.Fatal(f.Headers)
		}
		began := time.Now()
		last := began
		for _ = c.conn.SetReadDeadline(began.Add(during)); ; {
			b := make([]byte, 3)
			if k, err := c.br.Read(b); err != nil {
				return n, max(longest, time.Since(last))
			} else if string(b[:k]) != "\x81\x01\n" {
				t.Fatalf("%q", b[:k])
			}
			longest = max(longest, time.Since(last))
			last = time.Now()
			n++
		}
	}
	if n, _ := beats("heart-beat:0,1\n", time.Second); n < 5 || n > 26 { // every 40 ms; 1 ms is not granted
		t.Errorf("%d heart-beats in a second", n)
	}
	if n, _ := beats("heart-beat:0,500\n", 1100*time.Millisecond); n < 1 || n > 3 { // every 400 ms
		t.Errorf("%d heart-beats in a second", n)
	}
	for _, none := range []string{"", "heart-beat:1,0\n", "heart-beat:0,0\n"} {
		if n, _ := beats(none, 300*time.Millisecond); n > 0 {
			t.Errorf("%q: %d heart-beats", none, n)
		}
	}
	// With a MESSAGE each second, every 4 s need no heart-beat.
	c := r.dial(r.offering()...)
	c.send("CONNECT\naccept-version:1.2\nheart-beat:0,5000\n\n\x00")
	c.expect(stomp.Connected)
	c.send(subscribeFrame("1", "/topic/hub"))
	for range 6 {
		c.message("1")
	}
	if c.beats > 0 {
		t.Errorf("%d heart-beats between MESSAGEs", c.beats)
	}
}

func TestS43SilentClient(t *testing.T) {
	r := newLiveRig(t, rigOptions{pace: func(p *livePace) {
		p.beat, p.silence, p.look = 10*time.Millisecond, 400*time.Millisecond, 10*time.Millisecond
	}})
	connect := func(header string) *stompClient {
		c := r.dial(r.offering()...)
		c.send("CONNECT\naccept-version:1.2\n" + header + "\n\x00")
		c.expect(stomp.Connected)
		return c
	}
	quiet := connect("") // has promised nothing
	alive, mute := connect("heart-beat:10,0\n"), connect("heart-beat:10,0\n")
	slow := connect("heart-beat:100000,0\n") // 3 times 100 s
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				_, _ = alive.conn.Write(wsFrame(0x81, []byte("\n")))
			}
		}
	}()
	mute.fails(4003, "heart-beat", "")
	close(stop)
	<-stopped
	alive.receipt()
	quiet.receipt()
	slow.receipt()
}
