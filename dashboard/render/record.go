package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/telemetry-hub/telemetry-hub/device/text"
)

// Record prints one thing: as a table whose fields fill adds, as a JSON object, or as CSV with the columns name and value, a row
// for every value of the JSON object, with a dotted name.
func Record(w io.Writer, format string, v any, fill func(*Table)) error {
	switch format {
	case FormatJSON:
		return JSON(w, v)
	case FormatCSV:
		return fields(w, v)
	}
	t := NewTable(w)
	fill(t)
	return t.Flush()
}

func fields(w io.Writer, v any) error {
	b, err := marshal(v)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	out, err := appendFields([]byte("name,value\n"), dec, "")
	if err != nil {
		return err
	}
	_, err = w.Write(out)
	return err
}

// appendFields appends the rows of the JSON value that dec is at.
func appendFields(dst []byte, dec *json.Decoder, name string) ([]byte, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'), json.Delim('['):
	case nil:
		return dst, nil
	default:
		dst = append(text.AppendCSV(dst, name), ',')
		if s, ok := token.(string); ok {
			dst = text.AppendCSV(dst, s)
		} else {
			dst = fmt.Append(dst, token)
		}
		return append(dst, '\n'), nil
	}
	for i := 0; dec.More(); i++ {
		member := strconv.Itoa(i)
		if token == json.Delim('{') {
			key, err := dec.Token()
			if err != nil {
				return nil, err
			}
			member = key.(string) // of an object it always is
		}
		if name != "" {
			member = name + "." + member
		}
		if dst, err = appendFields(dst, dec, member); err != nil {
			return nil, err
		}
	}
	_, err = dec.Token() // the closing bracket
	return dst, err
}
