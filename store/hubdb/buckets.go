package hubdb

// The buckets of hub.db, what their keys are and their values; every value stands behind a CRC-32C (4 bytes, little endian).
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
//	audit         number (8 bytes, big endian) → entry as CBOR
//	boots         device id → bootsRecord as CBOR: which offsets in its account are of the machine's present boot
//	incidents     device id → deviceLogRecord as CBOR
//	users         name → user as JSON
//	api_keys      name → apiKeyRecord as JSON
//	sessions      hash (32 bytes) → sessionRecord as JSON
//	meta          "cursor" → position (8 bytes, big endian) up to which books, sources and dead letters are recorded
//	              "accounts" → 1 once users and API keys are kept here; without it they are restored from their copy
//	              "runs" → the newest runs of the hub as CBOR
//	              "clock" → the record of the ages of times as CBOR: the clock that times in here and in the journal are of
//	              "clock commands", "clock sessions", "clock tokens" → clockRecord as CBOR: the clock that times in commands and settings,
//	              in sessions, and of tokens are by
//	              "export" → record of the export as CBOR, what is still to be exported; none if nothing was ever exported
var (
	BucketDevices     = []byte("devices")
	BucketSchemas     = []byte("schemas")
	BucketBooks       = []byte("books")
	BucketSources     = []byte("sources")
	BucketDeadLetters = []byte("dead_letters")
	BucketGaps        = []byte("gaps")
	BucketCommands    = []byte("commands")
	BucketDesired     = []byte("desired")
	BucketAnnounced   = []byte("announced")
	BucketAudit       = []byte("audit")
	BucketBoots       = []byte("boots")
	BucketIncidents   = []byte("incidents")
	BucketUsers       = []byte("users")
	BucketAPIKeys     = []byte("api_keys")
	BucketSessions    = []byte("sessions")
	BucketMeta        = []byte("meta")
)

var buckets = [][]byte{
	BucketDevices, BucketSchemas, BucketBooks, BucketSources, BucketDeadLetters, BucketGaps,
	BucketCommands, BucketDesired, BucketAnnounced, BucketAudit, BucketBoots, BucketIncidents, BucketUsers, BucketAPIKeys, BucketSessions, BucketMeta,
}

// The keys of BucketMeta.
var (
	KeyCursor   = []byte("cursor")
	KeyAccounts = []byte("accounts")
	KeyRuns     = []byte("runs")
	KeyExport   = []byte("export")
	KeyClock    = []byte("clock")

	KeyCommandsClock = []byte("clock commands")
	KeySessionsClock = []byte("clock sessions")
	KeyTokensClock   = []byte("clock tokens")
)
