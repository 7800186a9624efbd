package stomp

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The names of the tests carry the ids of the checklist that the dashboard's socket follows.

var testLimits = Limits{Headers: 64, Line: 4 << 10, Body: 64 << 10}

// parse reads a stream in pieces of a size.
func parse(stream []byte, piece int, l Limits) ([]*Frame, *FrameError) {
	p := NewParser(l)
	var frames []*Frame
	for len(stream) > 0 {
		n := min(piece, len(stream))
		b := bytes.Clone(stream[:n])
		stream = stream[n:]
		for {
			f, rest, err := p.Next(b)
			if err != nil {
				return frames, err
			}
			if f == nil {
				break
			}
			frames = append(frames, f)
			b = rest
		}
		clear(b) // a frame must not hold on to it
	}
	return frames, nil
}

func frame(command string, body string, headers ...string) *Frame {
	f := &Frame{Command: command}
	for i := 0; i < len(headers); i += 2 {
		f.Headers = append(f.Headers, Header{headers[i], headers[i+1]})
	}
	if body != "" {
		f.Body = []byte(body)
	}
	return f
}

// good is a stream and what it says, fault is one that must end with an error.
type (
	good struct {
		stream string
		frames []*Frame
	}
	fault struct {
		stream, text, receipt string
	}
)

// check parses streams whole, byte by byte, and cut once at every position, which must make no difference (S-22).
func check(t *testing.T, cases []good, faults []fault) {
	t.Helper()
	each := func(stream string, f func(frames []*Frame, err *FrameError, how string)) {
		frames, err := parse([]byte(stream), len(stream), testLimits)
		f(frames, err, "whole")
		frames, err = parse([]byte(stream), 1, testLimits)
		f(frames, err, "byte by byte")
		for cut := range min(len(stream), 500) {
			p := NewParser(testLimits)
			frames, err = nil, nil
			for _, b := range [][]byte{[]byte(stream[:cut]), []byte(stream[cut:])} {
				for err == nil {
					var f *Frame
					if f, b, err = p.Next(b); f == nil {
						break
					}
					frames = append(frames, f)
				}
			}
			f(frames, err, fmt.Sprint("cut at ", cut))
		}
	}
	for _, c := range cases {
		each(c.stream, func(frames []*Frame, err *FrameError, how string) {
			t.Helper()
			if err != nil {
				t.Fatalf("%q, %s: %v", c.stream, how, err)
			}
			if diff := cmp.Diff(c.frames, frames); diff != "" {
				t.Fatalf("%q, %s: -want +got\n%s", c.stream, how, diff)
			}
		})
	}
	for _, c := range faults {
		each(c.stream, func(frames []*Frame, err *FrameError, how string) {
			t.Helper()
			if err == nil {
				t.Fatalf("%.100q, %s: no error, %d frames", c.stream, how, len(frames))
			}
			if !strings.Contains(err.Text, c.text) || err.Receipt != c.receipt {
				t.Fatalf("%.100q, %s: %q with receipt %q instead of %q, %q", c.stream, how, err.Text, err.Receipt, c.text, c.receipt)
			}
		})
	}
}

func TestS20BothLineEnds(t *testing.T) {
	want := []*Frame{frame(Send, "hi", "destination", "/a", "x", "y")}
	check(t, []good{
		{"SEND\ndestination:/a\nx:y\n\nhi\x00", want},
		{"SEND\r\ndestination:/a\r\nx:y\r\n\r\nhi\x00", want},
		{"SEND\r\ndestination:/a\nx:y\r\n\nhi\x00", want},
	}, []fault{
		{stream: "SEND\rdestination:/a\n\nhi\x00", text: "unknown command"},
		{stream: "SEND\nx:a\rb\n\nhi\x00", text: "CR inside"},
		{stream: "SEND\nx\r:a\n\nhi\x00", text: "CR inside"},
		{stream: "\r\r\nSEND\n\n\x00", text: "unknown command"},
	})
}

func TestS21LineEndsBetweenFrames(t *testing.T) {
	check(t, []good{
		{"\n", nil},
		{"\r\n\n\r\n", nil},
		{"\n\nBEGIN\n\n\x00\n\r\n\nCOMMIT\n\n\x00\n", []*Frame{frame(Begin, ""), frame(Commit, "")}},
	}, nil)
	// However many there are, none is kept.
	p := NewParser(testLimits)
	for range 1000 {
		if f, _, err := p.Next(bytes.Repeat([]byte("\r\n\n"), 1000)); f != nil || err != nil {
			t.Fatal(f, err)
		}
	}
	if cap(p.line) > 100 {
		t.Errorf("%d bytes are kept", cap(p.line))
	}
}

// S-22 is what check does with every other test; here is a long frame with everything in it.
func TestS22CutAnywhere(t *testing.T) {
	check(t, []good{{"\r\nSEND\r\nreceipt:1\\c2\ndestination:/ä/b\r\ncontent-length:7\n\n\x00ä\x00\nx\x00\x00\nACK\nid:7\n\n\x00",
		[]*Frame{
			frame(Send, "\x00ä\x00\nx\x00", "receipt", "1:2", "destination", "/ä/b", "content-length", "7"),
			frame(Ack, "", "id", "7"),
		}}}, nil)
}

func TestS23SeveralFramesInOnePiece(t *testing.T) {
	check(t, []good{{"BEGIN\ntransaction:t\n\n\x00SEND\n\nx\x00COMMIT\ntransaction:t\n\n\x00",
		[]*Frame{frame(Begin, "", "transaction", "t"), frame(Send, "x"), frame(Commit, "", "transaction", "t")}}}, nil)
}

func TestS25ContentLength(t *testing.T) {
	check(t, []good{
		{"SEND\ncontent-length:3\n\na\x00b\x00", []*Frame{frame(Send, "a\x00b", "content-length", "3")}},
		{"SEND\ncontent-length:0\n\n\x00", []*Frame{frame(Send, "", "content-length", "0")}},
		{"SEND\ncontent-length:002\n\n\x00\x00\x00", []*Frame{frame(Send, "\x00\x00", "content-length", "002")}},
		{"SEND\ncontent-length:1\ncontent-length:9\n\na\x00", []*Frame{frame(Send, "a", "content-length", "1", "content-length", "9")}},
	}, []fault{
		{"SEND\nreceipt:r\ncontent-length:2\n\nabc\x00", "must be NUL", "r"},
		{"SEND\ncontent-length:0\n\nabc\x00", "must be NUL", ""},
	})
}

func TestS26BodyUpToTheFirstNUL(t *testing.T) {
	check(t, []good{{"SEND\n\nabc\n\r\n\x00BEGIN\n\n\x00", []*Frame{frame(Send, "abc\n\r\n"), frame(Begin, "")}}}, nil)
}

func TestS27ContentLengthThatIsNone(t *testing.T) {
	var faults []fault
	for _, v := range []string{"-1", "+1", "1.0", "0x10", "", " 1", "1 ", "ä", "1_0"} {
		faults = append(faults, fault{"SEND\nreceipt:7\ncontent-length:" + v + "\n\n", "number of octets", "7"})
	}
	for _, v := range []string{"65537", "99999999999999999999", "18446744073709551616", "9223372036854775808"} {
		faults = append(faults, fault{"SEND\nreceipt:7\ncontent-length:" + v + "\n\n", "at most 65536 bytes", "7"})
	}
	check(t, nil, faults)

	// Memory is taken for what comes, not for what is announced.
	head := []byte("SEND\ncontent-length:60000\n\nx")
	parsers := make([]*Parser, 100)
	if allocs := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for i := range parsers {
				parsers[i] = NewParser(testLimits)
				_, _, _ = parsers[i].Next(head)
			}
		}
	}).AllocedBytesPerOp(); allocs > int64(len(parsers))*2000 {
		t.Errorf("%d bytes for one announced body", allocs/int64(len(parsers)))
	}
}

func TestS28LengthCountsOctets(t *testing.T) {
	check(t, []good{{"SEND\ncontent-length:5\n\näé!\x00", []*Frame{frame(Send, "äé!", "content-length", "5")}}},
		[]fault{{stream: "SEND\ncontent-length:3\n\näé!\x00", text: "must be NUL"}})
}

func TestS29Unescaping(t *testing.T) {
	check(t, []good{
		{"SEND\na\\cb\\n:c\\r\\\\\\n\\\\n\n\n\x00", []*Frame{frame(Send, "", "a:b\n", "c\r\\\n\\n")}},
		{"SEND\na:b:c\n\n\x00", []*Frame{frame(Send, "", "a", "b:c")}},
	}, []fault{
		{stream: "SEND\na:\\t\n\n\x00", text: "escape"},
		{stream: "SEND\na:b\\\n\n\x00", text: "escape"},
		{stream: "SEND\na\\x:b\n\n\x00", text: "escape"},
		{stream: "SEND\na:\\N\n\n\x00", text: "escape"},
		{"SEND\nreceipt:r\na:\\0\n\n\x00", "escape", "r"},
	})
}

// S-10: CONNECT is as it was in STOMP 1.0, so that any client can connect.
func TestS10ConnectIsNotUnescaped(t *testing.T) {
	for _, command := range []string{Connect, Stomp, Connected} {
		check(t, []good{{command + "\nhost:h:443\npasscode:a:b\\c\\t\\\n\n\x00",
			[]*Frame{frame(command, "", "host", "h:443", "passcode", `a:b\c\t\`)}}}, nil)
	}
}

func TestS31NothingIsTrimmed(t *testing.T) {
	check(t, []good{{"SEND\n a : b \nc:\n\n\x00", []*Frame{frame(Send, "", " a ", " b ", "c", "")}}}, nil)
}

func TestS32FirstHeaderWins(t *testing.T) {
	frames, err := parse([]byte("SEND\nfoo:World\nfoo:Hello\n\n\x00"), 100, testLimits)
	if err != nil || frames[0].Headers.Value("foo") != "World" {
		t.Errorf("%v %v", frames, err)
	}
	if _, ok := frames[0].Headers.Get("bar"); ok {
		t.Error("a header that is not there")
	}
}

func TestS33HeadersThatAreNone(t *testing.T) {
	check(t, nil, []fault{
		{"SEND\nreceipt:q\nnonsense\n\n\x00", "name:value", "q"},
		{stream: "SEND\n:value\n\n\x00", text: "name:value"},
		{stream: "SEND\na:\xff\n\n\x00", text: "UTF-8"},
		{stream: "SEND\na:\xed\xa0\x80\n\n\x00", text: "UTF-8"},
		{stream: "SEND\na:b\x00", text: "NUL"},
		{stream: "SEND\na:b\x00\n\n\x00", text: "NUL"},
		{stream: "CONNECT\x00", text: "NUL"},
	})
}

func TestS34CommandsAreExact(t *testing.T) {
	for _, c := range []string{"send", "Send", " SEND", "SEND ", "SENDX", "SEN", "PING", "x", "UNSUBSCRIBEX", strings.Repeat("S", 100000)} {
		check(t, nil, []fault{{stream: c + "\n\n\x00", text: "unknown command"}})
	}
	// It need not come to its end.
	if _, err := parse([]byte("GET /v1/live HTTP/1.1"), 5, testLimits); err == nil {
		t.Error("no error")
	}
}

func TestS35BodyWhereNoneMayBe(t *testing.T) {
	for _, c := range []string{Connect, Stomp, Subscribe, Unsubscribe, Begin, Commit, Abort, Ack, Nack, Disconnect, Connected, Receipt} {
		check(t, []good{
			{c + "\n\n\x00", []*Frame{frame(c, "")}},
			{c + "\ncontent-length:0\n\n\x00", []*Frame{frame(c, "", "content-length", "0")}},
		}, []fault{
			{c + "\nreceipt:1\n\nx\x00", c + " may not have a body", "1"},
			{c + "\nreceipt:1\ncontent-length:1\n\nx\x00", c + " may not have a body", "1"},
		})
	}
	for _, c := range []string{Send, Message, Error} {
		check(t, []good{{c + "\n\nx\x00", []*Frame{frame(c, "x")}}}, nil)
	}
}

func TestS36LimitsAreNamed(t *testing.T) {
	headers := func(n int) string { return strings.Repeat("a:b\n", n) }
	line := func(n int) string { return "a:" + strings.Repeat("x", n-2) + "\n" }
	body := func(n int) string { return strings.Repeat("x", n) }
	fine := []string{
		"SEND\n" + headers(64) + "\n\x00", "SEND\n" + line(4096) + "\n\x00",
		"SEND\n" + strings.TrimSuffix(line(4096), "\n") + "\r\n\n\x00",
		"SEND\n\n" + body(65536) + "\x00", "SEND\ncontent-length:65536\n\n" + body(65536) + "\x00",
	}
	for _, stream := range fine {
		for _, piece := range []int{1, 7, 1 << 20} {
			if frames, err := parse([]byte(stream), piece, testLimits); err != nil || len(frames) != 1 {
				t.Errorf("%.40q: %v", stream, err)
			}
		}
	}
	check(t, nil, []fault{
		{"SEND\nreceipt:r\n" + headers(64) + "\n\x00", "at most 64 headers", "r"},
		{"SEND\nreceipt:r\n" + line(4097) + "\n\x00", "at most 4096 bytes", "r"},
		{"SEND\nreceipt:r\n" + strings.TrimSuffix(line(4097), "\n") + "\r\n\n\x00", "at most 4096 bytes", "r"},
		{"SEND\nreceipt:r\n" + body(10000), "at most 4096 bytes", "r"},
		{"SEND\nreceipt:r\n\n" + body(65537), "body may have at most 65536 bytes", "r"},
	})
}

func TestS37NULBeforeAFrame(t *testing.T) {
	check(t, []good{{"\x00\n\x00\x00BEGIN\n\n\x00\x00\n\x00COMMIT\n\n\x00", []*Frame{frame(Begin, ""), frame(Commit, "")}}}, nil)
}

func TestNothingIsReadAfterAFault(t *testing.T) {
	p := NewParser(testLimits)
	_, _, first := p.Next([]byte("nonsense\n"))
	if f, _, err := p.Next([]byte("BEGIN\n\n\x00")); f != nil || err == nil || err != first {
		t.Errorf("%v %v", f, err)
	}
}
