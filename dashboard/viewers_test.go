package dashboard

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/stomp"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
)

func TestRoomIsBounded(t *testing.T) {
	r := newLiveRig(t, rigOptions{viewers: viewerLimits{viewers: 3, perAccount: 2, anonymous: 2, anonymousPerAddress: 1}})
	other, err := r.store.Accounts.AddAPIKey("other", accounts.RoleViewer)
	if err != nil {
		t.Fatal(err)
	}
	key := func(k string) []string { return r.upgrade("Authorization: Bearer " + k) }
	status := func(lines []string) int {
		t.Helper()
		res, _ := r.ask(lines...)
		if after := res.Header.Get("Retry-After"); res.StatusCode >= 400 && after == "" {
			t.Error("no Retry-After")
		}
		return res.StatusCode
	}
	a := r.dial(key(r.key)...)
	_ = r.dial(key(r.key)...)
	if got := status(key(r.key)); got != 429 {
		t.Errorf("third of one account: %d", got)
	}
	anonymous := r.dial(r.upgrade()...)
	if got := status(r.upgrade()); got != 429 {
		t.Errorf("second anonymous viewer of one address: %d", got)
	}
	anonymous.send("CONNECT\naccept-version:1.2\npasscode:" + r.key + "\n\n\x00")
	anonymous.fails(1013, "of this account", "")
	eventually(t, "the anonymous viewer is gone", func() bool { return r.taken() == 2 })
	_ = r.dial(key(other)...)
	if got := status(key(other)); got != 503 {
		t.Errorf("fourth in all: %d", got)
	}
	anonymous = r.dial(r.upgrade()...) // is let in, but not further
	anonymous.send("CONNECT\naccept-version:1.2\npasscode:" + other + "\n\n\x00")
	anonymous.fails(1013, "as many viewers", "")
	a.closeTCP()
	eventually(t, "there is room again", func() bool { return r.taken() == 2 })
	anonymous = r.dial(r.upgrade()...)
	anonymous.send("CONNECT\naccept-version:1.2\npasscode:" + other + "\n\n\x00")
	anonymous.expect(stomp.Connected)
	if _, err := r.viewers.enterAnonymous("elsewhere"); err != nil {
		t.Errorf("the anonymous viewer's place was not given back: %v", err)
	}
}

// Anonymous viewers of one address do not keep those of others out: the oldest of the address with the most gives way.
func TestAnonymousViewersMakeRoom(t *testing.T) {
	r := newLiveRig(t, rigOptions{viewers: viewerLimits{viewers: 9, perAccount: 9, anonymous: 3, anonymousPerAddress: 3}})
	var greedy []*stompClient
	for i := range 3 {
		greedy = append(greedy, r.dial(r.upgrade()...))
		eventually(t, "it is there", func() bool { return r.watching() == i+1 })
	}
	other, err := r.viewers.enterAnonymous("192.0.2.1/32")
	if err != nil {
		t.Fatal(err)
	}
	greedy[0].closed(1013)
	if _, err := r.viewers.enterAnonymous("192.0.2.1/32"); !errors.Is(err, errTooManyViewers) {
		t.Errorf("one each and one more of either: %v", err)
	}
	other.leave()
	greedy[2].send("CONNECT\naccept-version:1.2\npasscode:" + r.key + "\n\n\x00")
	greedy[2].expect(stomp.Connected)
	greedy[1].closeTCP()
	eventually(t, "no anonymous is left", func() bool { return r.taken() == 1 && r.watching() == 1 })
}

func TestRunWaitsForViewers(t *testing.T) {
	room := newViewers(defaultViewerLimits)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	room.run(ctx, time.Hour, func() {})
	if _, err := room.enter("x"); !errors.Is(err, errViewersClosed) {
		t.Error(err)
	}
}
