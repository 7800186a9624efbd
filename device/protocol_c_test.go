//go:build cgo

package device

import (
	"fmt"
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

int main(int argc, char **argv)
{
    static const uint16_t halves[] = {0x0000, 0x0001, 0x3800, 0x3c00, 0x4100, 0x7bff, 0xc400, 0x7c00, 0xfc00};
    uint8_t message[4096];
    size_t length = worked_frame(message);

    for (size_t i = 0; i < length; i++)
        printf("%02x", message[i]);
    printf("\n");
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
	want := fmt.Sprintf("%x\n0 5.96046e-08 0.5 1 2.5 65504 -4 inf -inf 1\n", vectors["data@schema-climate"].message)
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

	got, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, got)
	}
	if string(got) != want {
		t.Errorf("it prints\n%s\nwant\n%s", got, want)
	}
}
