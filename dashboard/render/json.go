package render

import (
	"bytes"
	"encoding"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"time"
)

// JSON prints an indented JSON value. Times are RFC 3339 in it, as in every other form, where the API has ms since 1970.
func JSON(w io.Writer, v any) error {
	b, err := marshal(v)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err = w.Write(out.Bytes())
	return err
}

// moment is a type of the API that stands for a time.
type moment interface{ Time() time.Time }

// marshal is json.Marshal, but for moments and without escapes for HTML.
func marshal(v any) ([]byte, error) {
	return appendValue(nil, reflect.ValueOf(v))
}

func appendValue(dst []byte, v reflect.Value) (_ []byte, err error) {
	if !v.IsValid() {
		return append(dst, "null"...), nil
	}
	switch x := v.Interface().(type) {
	case moment:
		return appendTime(dst, x.Time()), nil
	case time.Time:
		return appendTime(dst, x), nil
	case json.Marshaler, encoding.TextMarshaler:
		return appendPlain(dst, v)
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return append(dst, "null"...), nil
		}
		return appendValue(dst, v.Elem())
	case reflect.Struct:
		dst, _, err = appendMembers(append(dst, '{'), v, true)
		return append(dst, '}'), err
	case reflect.Slice:
		if v.IsNil() || v.Type().Elem().Kind() == reflect.Uint8 {
			return appendPlain(dst, v)
		}
		dst = append(dst, '[')
		for i := range v.Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendValue(dst, v.Index(i)); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	}
	return appendPlain(dst, v)
}

func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, "null"...)
	}
	dst = t.UTC().AppendFormat(append(dst, '"'), exactTime)
	return append(dst, '"')
}

func appendPlain(dst []byte, v reflect.Value) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v.Interface())
	return append(dst, bytes.TrimSuffix(out.Bytes(), []byte{'\n'})...), err
}

// appendMembers appends the fields of a struct, and those of structs that it embeds.
func appendMembers(dst []byte, v reflect.Value, first bool) (_ []byte, stillFirst bool, err error) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "":
			if dst, first, err = appendMembers(dst, v.Field(i), first); err != nil {
				return nil, first, err
			}
			continue
		case !field.IsExported() || name == "-" || strings.Contains(options, "omit") && isEmpty(v.Field(i)):
			continue
		case name == "":
			name = field.Name
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(append(append(dst, '"'), name...), '"', ':')
		if dst, err = appendValue(dst, v.Field(i)); err != nil {
			return nil, first, err
		}
	}
	return dst, first, nil
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	}
	return v.IsZero()
}
