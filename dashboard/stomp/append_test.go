package stomp

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestS30EscapingOnOutput(t *testing.T) {
	for _, c := range []struct {
		frame *Frame
		want  string
	}{
		{frame(Message, "x", "a:\n", "b\r\\ :"), "MESSAGE\na\\c\\n:b\\r\\\\ \\c\ncontent-length:1\n\nx\x00"},
		{frame(Connected, "", "server", `x:y\z`), "CONNECTED\nserver:x:y\\z\n\n\x00"},
		{frame(Receipt, "", "receipt-id", "1"), "RECEIPT\nreceipt-id:1\n\n\x00"},
		{frame(Error, "\x00", "content-length", "77", "message", "m"), "ERROR\nmessage:m\ncontent-length:1\n\n\x00\x00"},
	} {
		if got := Append([]byte("prefix"), c.frame); string(got) != "prefix"+c.want {
			t.Errorf("%q instead of %q", got, c.want)
		}
	}
}

func TestS40HeartBeatHeader(t *testing.T) {
	for value, want := range map[string]HeartBeat{
		"0,0":                        {},
		"10000,5":                    {10 * time.Second, 5 * time.Millisecond},
		"1,0":                        {time.Millisecond, 0},
		"18446744073709551615,00001": {24 * time.Hour, time.Millisecond},
	} {
		if got, err := ParseHeartBeat(value); err != nil || got != want {
			t.Errorf("%q: %v %v", value, got, err)
		}
	}
	for _, value := range []string{"10", "a,b", "-1,0", "", ",", "1,", ",1", "1,2,3", "1, 2", "+1,1", "18446744073709551616,1"} {
		if got, err := ParseHeartBeat(value); err == nil {
			t.Errorf("%q: %v", value, got)
		}
	}
}

func TestS41HeartBeatIntervals(t *testing.T) {
	for _, c := range [][3]time.Duration{{0, 5, 0}, {5, 0, 0}, {5, 7, 7}, {7, 5, 7}, {0, 0, 0}} {
		if got := Interval(c[0], c[1]); got != c[2] {
			t.Errorf("%v: %v", c, got)
		}
	}
}

func TestS07VersionLists(t *testing.T) {
	for list, want := range map[string]bool{
		"1.2": true, "1.2,1.1,1.0": true, "1.0,1.1,1.2": true,
		"": false, "1.1": false, "1.0,1.1": false, "1.20": false, "11.2": false, "2.1.2": false,
	} {
		if got := Accepts(list, "1.2"); got != want {
			t.Errorf("%q: %v", list, got)
		}
	}
}

// FuzzParse holds the parser to this: it does not panic, the way a stream is cut makes no difference, what it returns is
// within the limits, and writing and reading it again gives the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"CONNECT\naccept-version:1.2\nhost:h:1\n\n\x00",
		"\n\x00SEND\r\ndestination:/a\\cb\r\ncontent-length:3\r\n\r\na\x00b\x00\nACK\nid:1\n\n\x00",
		"SEND\nx:\\t\n\n\x00", "SEND\ncontent-length:99999999999999999999\n\n", "MESSAGE\n\n\xff\x00", "SEND\n\n0123456789012345678901234567890123456789\x00",
	} {
		f.Add([]byte(s), uint8(3))
	}
	l := Limits{Headers: 3, Line: 24, Body: 32}
	f.Fuzz(func(t *testing.T, stream []byte, piece uint8) {
		frames, err := parse(stream, len(stream)+1, l)
		again, errAgain := parse(stream, int(piece%32)+1, l)
		if diff := cmp.Diff(frames, again); diff != "" {
			t.Fatal(diff)
		}
		if (err == nil) != (errAgain == nil) || err != nil && *err != *errAgain {
			t.Fatalf("%v, in pieces %v", err, errAgain)
		}
		for _, one := range frames {
			if len(one.Headers) > l.Headers || len(one.Body) > l.Body || one.Size() > 200 || len(one.Body) > 0 && !hasBody(one.Command) {
				t.Fatalf("beyond the limits: %+v", one)
			}
			written := Append(nil, one)
			back, err := parse(written, 5, Limits{Headers: 4, Line: 100, Body: 32})
			if err != nil || len(back) != 1 {
				t.Fatalf("%q: %v", written, err)
			}
			for _, f := range []*Frame{one, back[0]} {
				f.Headers = slices.DeleteFunc(f.Headers, func(h Header) bool { return h.Name == "content-length" })
			}
			if diff := cmp.Diff(one, back[0], cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%q: %s", written, diff)
			}
			if !bytes.Equal(written, Append(nil, back[0])) {
				t.Fatalf("written again: %q", written)
			}
		}
	})
}

// Transactions are bounded by it: headers must not be had for nothing.
func TestSizeCountsShortHeaders(t *testing.T) {
	if n := (&Frame{Command: Send, Headers: make(Headers, 64)}).Size(); n < 64*32 {
		t.Errorf("64 empty headers take %d bytes", n)
	}
}
