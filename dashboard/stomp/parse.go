package stomp

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits bounds one frame.
type Limits struct {
	Headers int // lines
	Line    int // bytes of one line, without its end
	Body    int // bytes
}

// FrameError is what is wrong with a frame. Nothing can be read after it.
type FrameError struct {
	Text    string
	Receipt string // the frame's receipt header, if it was read before the fault
}

func (e *FrameError) Error() string { return e.Text }

// Parser reads frames from a stream of octets, in pieces of any size.
type Parser struct {
	limits  Limits
	state   state
	line    []byte // of the line that is not complete
	frame   *Frame
	pending int         // octets of the body that must still come; -1: up to the first NUL
	err     *FrameError // the first
}

// state is what the parser reads next.
type state int

const (
	inCommand state = iota // or what may be between two frames
	inHeaders
	inBody
	inEnd // the NUL after a body of known length
)

// NewParser returns a parser at the beginning of a stream.
func NewParser(l Limits) *Parser { return &Parser{limits: l} }

// Next reads from b up to the end of one frame, and returns it with the rest of b. The frame is nil if b ends before it:
// it goes on in the b of the next call. The frame keeps nothing of b. After an error all calls return the same one.
func (p *Parser) Next(b []byte) (f *Frame, rest []byte, err *FrameError) {
	for p.err == nil && len(b) > 0 {
		switch p.state {
		case inCommand, inHeaders:
			b = p.readLine(b)
		case inBody:
			b = p.readBody(b)
		case inEnd:
			if b[0] != 0 {
				p.fail("the octet after content-length octets of body must be NUL")
				break
			}
			f, p.frame, p.state = p.frame, nil, inCommand
			return f, b[1:], nil
		}
	}
	return nil, nil, p.err
}

// fail ends reading.
func (p *Parser) fail(format string, args ...any) {
	p.err = &FrameError{Text: fmt.Sprintf(format, args...)}
	if p.frame != nil {
		p.err.Receipt = p.frame.Headers.Value("receipt")
	}
	p.frame, p.line = nil, nil
}

// longestCommand is the length of UNSUBSCRIBE.
const longestCommand = 11

// readLine reads one line of the head, or a part of it.
func (p *Parser) readLine(b []byte) (rest []byte) {
	if p.state == inCommand && len(p.line) == 0 && b[0] == 0 { // old clients send one too many
		return b[1:]
	}
	end := bytes.IndexAny(b, "\n\x00")
	part := b
	if end >= 0 {
		part = b[:end]
	}
	most, tooLong := p.limits.Line, "a header line may have at most %d bytes"
	if p.state == inCommand {
		most, tooLong = longestCommand, "unknown command: none has more than %d letters"
	}
	if len(p.line)+len(part) > most+1 { // and CR
		p.fail(tooLong, most)
		return nil
	}
	if end < 0 {
		p.line = append(p.line, part...)
		return nil
	}
	if b[end] == 0 {
		p.fail("NUL before the end of the headers")
		return nil
	}
	line := part
	if len(p.line) > 0 {
		line = append(p.line, part...)
		p.line = p.line[:0]
	}
	line = bytes.TrimSuffix(line, []byte("\r"))
	switch {
	case len(line) > most:
		p.fail(tooLong, most)
	case p.state == inCommand:
		p.command(line)
	case len(line) == 0:
		p.headEnded()
	default:
		p.header(line)
	}
	return b[end+1:]
}

// command takes the first line of a frame. An empty one is a heart-beat, or fills the space between two frames.
func (p *Parser) command(line []byte) {
	if len(line) == 0 {
		return
	}
	switch c := string(line); c {
	case Connect, Stomp, Send, Subscribe, Unsubscribe, Begin, Commit, Abort, Ack, Nack, Disconnect, Connected, Message, Receipt, Error:
		p.frame, p.state = &Frame{Command: c}, inHeaders
	default:
		p.fail("unknown command")
	}
}

// header takes one header line.
func (p *Parser) header(line []byte) {
	if len(p.frame.Headers) >= p.limits.Headers {
		p.fail("a frame may have at most %d headers", p.limits.Headers)
		return
	}
	if !utf8.Valid(line) {
		p.fail("a header is not UTF-8")
		return
	}
	name, value, ok := strings.Cut(string(line), ":")
	if !ok || name == "" {
		p.fail("a header must be name:value")
		return
	}
	if strings.Contains(name, "\r") || strings.Contains(value, "\r") {
		p.fail("CR inside a header")
		return
	}
	if escapes(p.frame.Command) {
		var okName, okValue bool
		name, okName = unescape(name)
		value, okValue = unescape(value)
		if !okName || !okValue {
			p.fail(`a header has another escape than \r \n \c \\`)
			return
		}
	}
	p.frame.Headers = append(p.frame.Headers, Header{name, value})
}

// unescape undoes escaping. It fails for an escape that does not exist.
func unescape(s string) (string, bool) {
	at := strings.IndexByte(s, '\\')
	if at < 0 {
		return s, true
	}
	out := append(make([]byte, 0, len(s)), s[:at]...)
	for i := at; i < len(s); i++ {
		c := s[i]
		if c == '\\' {
			i++
			if i == len(s) {
				return "", false
			}
			switch s[i] {
			case 'r':
				c = '\r'
			case 'n':
				c = '\n'
			case 'c':
				c = ':'
			case '\\':
				c = '\\'
			default:
				return "", false
			}
		}
		out = append(out, c)
	}
	return string(out), true
}

// headEnded takes the empty line after the headers.
func (p *Parser) headEnded() {
	p.state, p.pending = inBody, -1
	if length, ok := p.frame.Headers.Get("content-length"); ok {
		n, err := parseDigits(length)
		switch {
		case errors.Is(err, strconv.ErrSyntax):
			p.fail("content-length must be a number of octets")
		case err != nil || n > uint64(p.limits.Body):
			p.fail("a body may have at most %d bytes", p.limits.Body)
		default:
			p.expectBody(int(n))
		}
	}
}

func (p *Parser) expectBody(n int) {
	switch {
	case n > 0 && !hasBody(p.frame.Command):
		p.fail("%s may not have a body", p.frame.Command)
	case n == 0:
		p.state = inEnd
	default:
		p.pending = n
	}
}

// readBody reads a part of the body, or all of it. Memory is taken for what has come, not for what was announced.
func (p *Parser) readBody(b []byte) (rest []byte) {
	n := min(len(b), p.pending)
	ends := p.pending >= 0 && n == p.pending
	if p.pending < 0 {
		if n = bytes.IndexByte(b, 0); n < 0 {
			n = len(b)
		} else {
			ends = true
		}
	}
	switch {
	case n > 0 && !hasBody(p.frame.Command):
		p.fail("%s may not have a body", p.frame.Command)
		return nil
	case len(p.frame.Body)+n > p.limits.Body:
		p.fail("a body may have at most %d bytes", p.limits.Body)
		return nil
	}
	p.frame.Body = append(p.frame.Body, b[:n]...)
	if p.pending >= 0 {
		p.pending -= n
	}
	if ends {
		p.state = inEnd
	}
	return b[n:]
}

// parseDigits parses digits and nothing else: no sign, no space.
func parseDigits(s string) (uint64, error) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, strconv.ErrSyntax
		}
	}
	return strconv.ParseUint(s, 10, 64)
}
