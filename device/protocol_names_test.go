package device

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"go/types"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// The tests in this file hold PROTOCOL.md to the Go source: every code, limit and key, and no others.

// constant is one declared in the source, with the name of its type.
type constant struct{ name, typ, value string }

func constants(t *testing.T, file string) []constant {
	t.Helper()
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []constant
	for _, decl := range parsed.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			v := spec.(*ast.ValueSpec)
			c := constant{name: v.Names[0].Name}
			if v.Type != nil {
				c.typ = v.Type.(*ast.Ident).Name
			}
			var expr strings.Builder
			if err := printer.Fprint(&expr, fset, v.Values[0]); err != nil {
				t.Fatal(err)
			}
			value, err := types.Eval(fset, nil, token.NoPos, expr.String())
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			c.value = value.Value.ExactString()
			out = append(out, c)
		}
	}
	return out
}

// TestProtocolHasEveryCode: each constant stands in the text, by number and name.
func TestProtocolHasEveryCode(t *testing.T) {
	text := readProtocol(t)
	row := `(?m)^\| %s \| %s \| .*\|$`
	inline := `\b%s %s\b`
	places := map[string]struct{ pattern, prefix string }{
		"":             {`(?m)^\| %[2]s \| %[1]s \| .*\|$`, ""}, // limits: the name first
		"CloseCode":    {row, "Close"},
		"RejectCode":   {row, "Reject"},
		"ValueType":    {row, ""},
		"Type":         {row, "Type"},
		"LostReason":   {inline, "Lost"},
		"GoAwayReason": {inline, "GoAway"},
		"ResultStatus": {inline, "Result"},
		"Confirm":      {inline, "Confirm"},
	}
	seen := map[string]int{}
	for _, file := range []string{"codes.go", "limits.go", "message.go", "schema.go"} {
		for _, c := range constants(t, file) {
			place, ok := places[c.typ]
			if !ok || c.name == "HashSize" || c.name == "Subprotocol" || c.name == "Path" {
				continue // said in words
			}
			seen[c.typ]++
			name := strings.TrimPrefix(c.name, place.prefix)
			if c.typ == "Type" {
				var n int
				fmt.Sscan(c.value, &n)
				c.value, name = fmt.Sprintf("0x%02x", n), strings.ToUpper(name)
			}
			if !regexp.MustCompile(fmt.Sprintf(place.pattern, c.value, name)).MatchString(text) {
				t.Errorf("no place has %s %s", c.value, name)
			}
		}
	}
	for typ := range places {
		if seen[typ] == 0 {
			t.Errorf("no constant of type %q found", typ)
		}
	}
	for _, word := range []string{Subprotocol, Path, fmt.Sprintf("first %d bytes of the SHA-256", HashSize)} {
		if !strings.Contains(text, word) {
			t.Errorf("no place has %q", word)
		}
	}
	closeRows := regexp.MustCompile(`(?m)^\| \d{4} \| \w+ \|`).FindAllString(text, -1)
	limitRows := regexp.MustCompile(`(?m)^\| (?:Max|Min)\w+ \|`).FindAllString(text, -1)
	if len(closeRows) != seen["CloseCode"] || len(limitRows) != seen[""] {
		t.Errorf("%d close codes and %d limits in the text, %d and %d in the source",
			len(closeRows), len(limitRows), seen["CloseCode"], seen[""])
	}
}

// TestProtocolHasEveryKey: each table of keys is the struct it describes, and says always where the encoder leaves nothing out.
func TestProtocolHasEveryKey(t *testing.T) {
	text := readProtocol(t)
	for begin, message := range map[string]any{
		"### 9.1 HELLO (0x01)\n":   Hello{},
		"### 9.2 SCHEMA (0x02)\n":  Schema{},
		"A channel:\n":             Channel{},
		"A command:\n":             CommandSpec{},
		"An argument:\n":           Arg{},
		"### 9.3 LOST (0x04)\n":    Lost{},
		"### 9.4 RESULT (0x05)\n":  Result{},
		"### 9.5 WELCOME (0x81)\n": Welcome{},
		"### 9.6 ACK (0x82)\n":     Ack{},
		"### 9.7 REJECT (0x83)\n":  Reject{},
		"### 9.8 RESEND (0x84)\n":  Resend{},
		"### 9.9 COMMAND (0x85)\n": Command{},
		"### 9.10 GOAWAY (0x86)\n": GoAway{},
	} {
		_, section, ok := strings.Cut(text, begin)
		if !ok {
			t.Errorf("no section %q", begin)
			continue
		}
		_, table, _ := strings.Cut(section, "| --- | --- | --- | --- | --- |\n")
		table, _, _ = strings.Cut(table, "\n\n")
		rows := strings.Split(table, "\n")
		fields := reflect.TypeOf(message)
		if len(rows) != fields.NumField() {
			t.Errorf("%s: %d rows for %d fields", begin, len(rows), fields.NumField())
			continue
		}
		for i, row := range rows {
			key, options, _ := strings.Cut(fields.Field(i).Tag.Get("cbor"), ",")
			always := " always "
			if strings.Contains(options, "omitempty") {
				always = " "
			}
			cells := strings.Split(row, "|")
			if want := []string{" " + key + " ", " " + fields.Field(i).Name + " ", always}; len(cells) != 7 ||
				cells[1] != want[0] || cells[2] != want[1] || cells[4] != want[2] {
				t.Errorf("%s: row %q, want %q", begin, row, want)
			}
		}
	}
}
