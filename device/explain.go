package device

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// explain says what is wrong with a payload in the words of PROTOCOL.md. The texts of the CBOR library name Go types; this
// one goes to the author of a device, in the text of a Close frame.
func explain(err error) string {
	var (
		wrongType  *cbor.UnmarshalTypeError
		twice      *cbor.DupMapKeyError
		simple     *cbor.UnacceptableDataItemError
		indefinite *cbor.IndefiniteLengthError
		tag        *cbor.TagsMdError
		nested     *cbor.MaxNestedLevelError
		elements   *cbor.MaxArrayElementsError
		pairs      *cbor.MaxMapPairsError
		extra      *cbor.ExtraneousDataError
		notUTF8    *cbor.SemanticError
		syntax     *cbor.SyntaxError
	)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends too early"
	case errors.As(err, &wrongType):
		return explainType(wrongType)
	case errors.As(err, &twice):
		return fmt.Sprintf("key %v occurs twice", twice.Key)
	case errors.As(err, &simple):
		return "null, undefined or another simple value that is not allowed"
	case errors.As(err, &indefinite):
		return "an item of indefinite length"
	case errors.As(err, &tag):
		return "a tag"
	case errors.As(err, &nested):
		return fmt.Sprintf("more than %d levels", maxNesting)
	case errors.As(err, &elements):
		return fmt.Sprintf("an array of more than %d elements", 2*MaxRanges)
	case errors.As(err, &pairs):
		return fmt.Sprintf("a map of more than %d keys", maxPairs)
	case errors.As(err, &extra):
		return "bytes behind the map"
	case errors.As(err, &notUTF8):
		return "text that is not UTF-8"
	case errors.As(err, &syntax):
		return "not well-formed CBOR"
	default:
		return err.Error() // ours
	}
}

// explainType says what stands where something else is expected.
func explainType(e *cbor.UnmarshalTypeError) string {
	place, want, found := "a key", "an integer or text", "a "+e.CBORType
	if dot := strings.LastIndexByte(e.StructFieldName, '.'); dot >= 0 {
		place, want = "in key "+e.StructFieldName[dot+1:], expected(e.GoType) // of the outermost map
	} else if strings.HasPrefix(e.GoType, "device.") {
		place, want = "the payload", "a map"
	}
	switch {
	case strings.Contains(e.Error(), "overflows"):
		found = "an integer out of range"
	case e.CBORType == "primitives":
		found = "a bool or float"
	case e.CBORType == "UTF-8 text string":
		found = "text"
	case e.CBORType == "array":
		found = "an array"
	}
	return fmt.Sprintf("%s: expected %s, found %s", place, want, found)
}

// expected is what belongs where a Go type is read.
func expected(goType string) string {
	switch goType {
	case "string":
		return "text"
	case "bool":
		return "a bool"
	case "float64":
		return "a number"
	case "int8", "int64":
		return "an integer of " + goType[len("int"):] + " bits"
	case "uint16", "uint32", "uint64":
		return "an unsigned integer of " + goType[len("uint"):] + " bits"
	case "device.Clock", "device.ValueType", "device.Confirm", "device.LostReason", "device.ResultStatus", "device.RejectCode", "device.GoAwayReason":
		return "an unsigned integer of 8 bits"
	case "cbor.ByteString":
		return "a byte string"
	}
	if strings.HasPrefix(goType, "[]") {
		return "an array"
	}
	return "a map"
}
