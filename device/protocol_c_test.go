//go:build cgo

package device

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// cMain prints what the functions of PROTOCOL.md make, for the test to compare. It reads an ACK in hexadecimal from each argument.
const cMain = `
#include <stdio.h>

static void print_range(uint64_t first, uint64_t last)
{
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
    uint8_t message[4096];
    size_t length = worked_frame(message);

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
    for (int i = 1; i < argc; i++) {
        for (length = 0; argv[i][2 * length] != 0; length++) {
            unsigned byte;
            sscanf(argv[i] + 2 * length, "%2x", &byte);
            message[length] = (uint8_t)byte;
        }
        printf("ack");
        printf(" %d\n", read_ack(message, length, print_range));
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
	for _, name := range []string{"ack", "ack-ranges", "ack-empty", "also-ack-long-heads"} {
		m, err := ParseControl(vectors[name].message)
		if err != nil {
			t.Fatal(err)
		}
		want += "ack"
		for _, r := range m.(*Ack).Ranges {
			want += fmt.Sprintf(" %d-%d", r.First, r.Last)
		}
		want += " 1\n"
		args = append(args, fmt.Sprintf("%x", vectors[name].message))
	}
	// Keys of a later version before and behind the ranges, and an ACK that is cut.
	args = append(args, "82a30083616101f401820709186382f93c00a10203", "82a1018207")
	want += "ack 7-9 1\nack 0\n"

	got, failed := exec.Command(program, args...).CombinedOutput()
	if failed != nil {
		t.Fatalf("%v\n%s", failed, got)
	}
	if string(got) != want {
		t.Errorf("it prints\n%s\nwant\n%s", got, want)
	}
}
