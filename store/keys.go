package store

import "encoding/binary"

// hub.db; every value stands behind its CRC-32C (4 bytes, little endian)
//
//	devices       id → Device as JSON
//	schemas       hash (8 bytes) → SCHEMA message
//	books         device id → account as CBOR
//	sources       number (8 bytes, big endian) → source as CBOR
//	dead_letters  position (8 bytes, big endian) → DeadLetter as CBOR
//	gaps          first position (8 bytes, big endian), then Gap.Tail → Gap as JSON
//	commands      number (8 bytes, big endian) → commandRecord as CBOR
//	desired       device id → its settings as CBOR
//	announced     device id → hash of the schema it announced last (8 bytes)
//	audit         number (8 bytes, big endian) → auditRecord as CBOR
//	boots         device id → bootsRecord as CBOR: which offsets in its account are of the machine's present boot
//	incidents     device id → incidentRecord as CBOR
//	users         name → user as JSON
//	api_keys      name → apiKeyRecord as JSON
//	sessions      hash (32 bytes) → sessionRecord as JSON
//	meta          "cursor" → position (8 bytes, big endian) up to which books, sources and dead letters are recorded
//	              "accounts" → 1 once users and API keys are kept here; without it they are restored from their copy
//	              "runs" → the newest hubRuns as CBOR
//	              "clock" → clockRecord as CBOR: the clock that times in here and in the journal are of
//	              "clock commands", "clock sessions", "clock tokens" → movedBy as CBOR: the clock that times in commands and settings,
//	              in sessions, and of tokens are by
//	              "export" → record of the export as CBOR, what is still to be exported; none if nothing was ever exported
var (
	bucketDevices     = []byte("devices")
	bucketSchemas     = []byte("schemas")
	bucketBooks       = []byte("books")
	bucketSources     = []byte("sources")
	bucketDeadLetters = []byte("dead_letters")
	bucketGaps        = []byte("gaps")
	bucketCommands    = []byte("commands")
	bucketDesired     = []byte("desired")
	bucketAnnounced   = []byte("announced")
	bucketAudit       = []byte("audit")
	bucketBoots       = []byte("boots")
	bucketIncidents   = []byte("incidents")
	bucketUsers       = []byte("users")
	bucketAPIKeys     = []byte("api_keys")
	bucketSessions    = []byte("sessions")
	bucketMeta        = []byte("meta")

	buckets = [][]byte{
		bucketDevices, bucketSchemas, bucketBooks, bucketSources, bucketDeadLetters, bucketGaps,
		bucketCommands, bucketDesired, bucketAnnounced, bucketAudit, bucketBoots, bucketIncidents, bucketUsers, bucketAPIKeys, bucketSessions, bucketMeta,
	}

	keyCursor   = []byte("cursor")
	keyAccounts = []byte("accounts")
	keyRuns     = []byte("runs")
	keyExport   = []byte("export")
	keyClock    = []byte("clock")

	keyCommandsClock = []byte("clock commands")
	keySessionsClock = []byte("clock sessions")
	keyTokensClock   = []byte("clock tokens")
)

// key8 is a number as a key that sorts like the number.
func key8(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// parseKey8 reads what key8 wrote.
func parseKey8(key []byte) (n uint64, ok bool) {
	if len(key) != 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(key), true
}
