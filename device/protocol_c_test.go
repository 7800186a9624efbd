//go:build cgo

package device

import (
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// cMain prints what the functions of PROTOCOL.md make, for the test to compare. It reads an ACK or WELCOME in hexadecimal
// from each argument.
const cMain = `
#include <stdio.h>

static void print_range(void *context, uint64_t first, uint64_t last)
{
    ++*(int *)context;
    printf(" %llu-%llu", (unsigned long long)first, (unsigned long long)last);
}

static void print_bytes(const uint8_t *p, const uint8_t *end)
{
    while (p < end)
        printf("%02x", *p++);
    printf("\n");
}

int main(int argc, char **argv)
{
    static const uint16_t halves[] = {0x0000, 0x0001, 0x3800, 0x3c00, 0x4100, 0x7bff, 0xc400, 0x7c00, 0xfc00};
    static const int64_t times[] = {-1, 59, 59, -3600};
    static const int64_t values[] = {INT64_MIN, INT64_MAX, 0, -64};
    static const uint64_t edges[] = {0, 127, 128, 16383, 16384, UINT64_MAX};
    static const uint8_t worked_id[] = {0x01, 0x93, 0xf0, 0x5e, 0x7a, 0x10, 0x7c, 0x2b, 0x9d, 0x41, 0x3e, 0x88, 0x51, 0x0c, 0x6f, 0xaa};
    static const uint8_t hash[] = {0x0b, 0xc3, 0x7f, 0xd1, 0x2a, 0xbe, 0xdb, 0x1c};
    uint8_t message[8192];
    size_t length = worked_frame(message);
    struct welcome w;
    struct command c;
    struct memory memory = {0};
    uint8_t id[16] = {0};
    int ranges, sound;

    print_bytes(message, message + length);
    print_bytes(message, put_data_head(message, 1ull << 53, times, 4));
    print_bytes(message, put_int_column(message, 300, values, 4));
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
        print_bytes(message, put_varint(message, edges[i]));
        if (varint_len(edges[i]) != (size_t)(put_varint(message, edges[i]) - message))
            printf("another length\n");
    }
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++)
        printf("%g ", half_float(halves[i]));
    printf("%d\n", half_float(0x7e00) != half_float(0x7e00));
    print_bytes(message, put_hello(message, 0x1122334455667788, 0, 1767225660000000, 0, hash, 1, 2, "1.4.2", "climate-3"));
    print_bytes(message, put_hello(message, 1, 0, 0, 0, hash, 1, 1, "", ""));
    print_bytes(message, put_hello(message, UINT64_MAX, 300, -1, 1, hash, 70000, 9007199254740991, "", ""));
    print_bytes(message, put_hello(message, 24, 65536, INT64_MIN, 1, hash, 255, 256, "", ""));
    print_bytes(message, put_lost(message, 10, 19, 1));
    print_bytes(message, put_lost(message, 9007199254740991, 9007199254740991, 3));
    print_bytes(message, put_result(message, worked_id, 0, "fan at 40 %"));
    print_bytes(message, put_result(message, worked_id, 3, ""));
    for (id[0] = 1; id[0] <= 20; id[0]++)
        if (find_begun(&memory, id) == NULL)
            begin(&memory, id)->status = id[0];
    for (id[0] = 1; id[0] <= 20; id[0]++)
        printf("%d ", find_begun(&memory, id) == NULL ? 0 : find_begun(&memory, id)->status);
    c.ttl = 30;
    c.deadline = 100;
    printf("%d%d%d%d%d\n", in_time(&c, 29, 50, 49), in_time(&c, 30, 50, 49), in_time(&c, 29, 50, 50), in_time(&c, 0, INT64_MAX, 1), in_time(&c, 0, -9, 9));
    for (int i = 1; i < argc; i++) {
        for (length = 0; argv[i][2 * length] != 0; length++) {
            unsigned byte;
            sscanf(argv[i] + 2 * length, "%2x", &byte);
            message[length] = (uint8_t)byte;
        }
        ranges = 0;
        printf("%02x:", length > 0 ? message[0] : 0);
        if (message[0] == 0x81) {
            sound = read_welcome(message, length, &w, print_range, &ranges);
            if (sound)
                printf(" now %lld %d %d %u %u %u %u %u", (long long)w.now, w.need_schema, w.need_stream, w.window_frames, w.window_bytes,
                       w.ack_delay, w.idle, w.frame_rate);
        } else if (message[0] == 0x85) {
            sound = read_command(message, length, &c);
            if (sound) {
                printf(" %.*s %lld %u %d ", (int)c.name_length, (const char *)c.name, (long long)c.deadline, c.ttl, c.args != NULL);
                print_bytes(c.id, c.id + 16);
            }
        } else {
            sound = read_ack(message, length, print_range, &ranges);
        }
        printf(" %d %d\n", ranges, sound);
    }
    return 0;
}
`

// TestProtocolInC compiles the C of PROTOCOL.md and runs it.
func TestProtocolInC(t *testing.T) {
	var source strings.Builder
	for _, parts := range block.FindAllStringSubmatch(readProtocol(t), -1) {
		if parts[1] == "c" {
			source.WriteString(parts[2])
		}
	}
	source.WriteString(cMain)
	dir := t.TempDir()
	file, program := filepath.Join(dir, "protocol.c"), filepath.Join(dir, "protocol")
	if err := os.WriteFile(file, []byte(source.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cc", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-o", program, file, "-lm").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	vectors := readVectors(t)
	args := []string{}
	want := fmt.Sprintf("%x\n", vectors["data@schema-climate"].message)
	head, err := (&Data{Seq: MaxSeq + 1, Times: []int64{-1_000_000, 59_000_000, 59_000_000, -3_600_000_000}}).appendTimes(nil)
	if err != nil {
		t.Fatal(err)
	}
	column := Column{ID: 300, Type: Int, Bits: ints(math.MinInt64, math.MaxInt64, 0, -64)}
	want += fmt.Sprintf("%x\n%x\n", head, column.append(nil, 4))
	for _, edge := range []uint64{0, 127, 128, 16383, 16384, math.MaxUint64} {
		want += fmt.Sprintf("%x\n", appendUvarint(nil, edge))
	}
	want += "0 5.96046e-08 0.5 1 2.5 65504 -4 inf -inf 1\n"
	schemaHash := HashSchema(vectors["schema-climate"].message)
	for _, m := range []Message{
		vectorMessages()["hello"], vectorMessages()["hello-least"],
		&Hello{Stream: math.MaxUint64, Boot: 300, Now: -1, Clock: ClockBoot, SchemaHash: schemaHash, Oldest: 70_000, Next: MaxSeq},
		&Hello{Stream: 24, Boot: 1 << 16, Now: math.MinInt64, Clock: ClockBoot, SchemaHash: schemaHash, Oldest: 255, Next: 256},
		&Lost{First: 10, Last: 19, Reason: LostOverwritten}, vectorMessages()["lost-one"],
	} {
		want += fmt.Sprintf("%x\n", AppendControl(nil, m))
	}
	worked := vectorMessages()["result"].(*Result).ID
	want += fmt.Sprintf("%x\n%x\n", AppendControl(nil, &Result{ID: worked, Text: "fan at 40 %"}), AppendControl(nil, &Result{ID: worked, Status: ResultExpired}))
	want += "0 0 0 0 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 10001\n"
	read := [][]byte{
		// Keys of a later version before and behind the ranges, keys that are text or negative, an ACK without ranges.
		unhex(t, "82a30083616101f401820709186382f93c00a10203"), unhex(t, "82a3616100200101820808"), unhex(t, "82a0"), unhex(t, "82a1018207"),
		unhex(t, "81a801616461318102020105010602080309046161f5"), unhex(t, "81a7016164023b7fffffffffffffff03820102050106020803091863"),
	}
	for _, v := range vectors {
		if len(v.message) > 0 && (Type(v.message[0]) == TypeAck || Type(v.message[0]) == TypeWelcome || readableCommand(v.message)) {
			read = append(read, v.message)
		}
	}
	for _, b := range read {
		m, err := ParseControl(b)
		var ranges Ranges
		text := ""
		switch m := m.(type) {
		case *Ack:
			ranges = m.Ranges
		case *Command:
			text = fmt.Sprintf(" %s %d %d %d %x\n", m.Name, m.Deadline, m.TTL, map[bool]int{true: 1}[len(m.Args) > 0], m.ID[:])
		case *Welcome:
			ranges = m.Received
			text = fmt.Sprintf(" now %d %d %d %d %d %d %d %d", m.Now, map[bool]int{true: 1}[m.NeedSchema], map[bool]int{true: 1}[m.NeedStream], m.WindowFrames, m.WindowBytes, m.AckDelay, m.Idle, m.FrameRate)
		}
		want += fmt.Sprintf("%02x:", b[0])
		for _, r := range ranges {
			want += fmt.Sprintf(" %d-%d", r.First, r.Last)
		}
		want += fmt.Sprintf("%s %d %d\n", text, len(ranges), map[bool]int{true: 1}[err == nil])
		args = append(args, fmt.Sprintf("%x", b))
	}

	got, failed := exec.Command(program, args...).CombinedOutput()
	if failed != nil {
		t.Fatalf("%v\n%s", failed, got)
	}
	if string(got) != want {
		t.Errorf("it prints\n%s\nwant\n%s", got, want)
	}
}

// readableCommand tells the COMMANDs that the C of PROTOCOL.md reads as ParseControl does: it leaves the arguments to whoever carries
// the command out.
func readableCommand(b []byte) bool {
	if Type(b[0]) != TypeCommand {
		return false
	}
	_, err := ParseControl(b)
	return err == nil || len(b) < 24 // one without id or name
}

func unhex(t *testing.T, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
