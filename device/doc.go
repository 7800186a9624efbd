// Package device is the device protocol telemetry.v1: its messages, schema, codec and limits. It is pure: bytes in, values
// out. PROTOCOL.md is the normative text, for people who write devices; testdata/vectors.txt has examples of everything.
//
// Every message is one binary WebSocket message (RFC 6455), a type byte and a payload:
//
//	0x01 HELLO   device → hub  CBOR    0x81 WELCOME  hub → device  CBOR
//	0x02 SCHEMA  device → hub  CBOR    0x82 ACK      hub → device  CBOR
//	0x03 DATA    device → hub  packed  0x83 REJECT   hub → device  CBOR
//	0x04 LOST    device → hub  CBOR    0x84 RESEND   hub → device  CBOR
//	0x05 RESULT  device → hub  CBOR    0x85 COMMAND  hub → device  CBOR
//	                                   0x86 GOAWAY   hub → device  CBOR
//
// A CBOR payload is one map with integer keys in deterministic encoding (RFC 8949 §4.2.1); the struct tags have the keys.
// Unknown keys are ignored. AppendControl writes such a message, ParseControl reads and validates one, AppendAck writes an ACK
// without allocating.
//
// DATA is packed. All integers are little-endian, varint is unsigned LEB128 in its shortest form, zigzag a signed number
// as a varint:
//
//	type     1 byte   0x03
//	seq      varint   1 to MaxSeq
//	flags    1 byte   bit 0: t0 counts from a boot; bits 1–2: unit of times, 0 µs, 1 ms, 2 s; the rest 0
//	boot     varint   only with flags bit 0
//	t0       8 bytes  signed, µs since 1970 or since the boot
//	count    varint   samples, 1 to MaxSamples
//	times    count−1 zigzag varints: distance of the second sample from t0, then changes of the distance
//	columns  to the end, at least one, by ascending channel id:
//	  head      varint   id<<4 | presence<<3 | n
//	  length    varint   only if n is 0; else the body has n bytes
//	  presence  ⌈count/8⌉ bytes, only with the presence bit: one bit per sample, lowest first
//	  values    of the samples that have one:
//	            Bool     bitmap, lowest bit first
//	            Int      zigzag varints: the first value, then differences, modulo 2⁶⁴
//	            Float32  4 bytes each, IEEE 754
//	            Float64  8 bytes each, IEEE 754
//	            String   varint length and UTF-8 each
//
// AppendData writes such a message, ParseData reads one; neither allocates in the steady state.
//
// SeqSet holds which sequence numbers of a stream are settled, Ranges is the form in which both sides speak of them.
package device
