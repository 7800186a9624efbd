package hubdb

// The buckets of hub.db, with the package that a bucket belongs to. Numbers and positions are keys of 8 bytes, big endian; every
// value stands behind a CRC-32C of 4 bytes, little endian.
//
//	bucket        package   key → value
//	devices       devices   device id → Device as JSON
//	users         accounts  name → user as JSON
//	api_keys      accounts  name → apiKeyRecord as JSON
//	sessions      accounts  hash (32 bytes) → sessionRecord as JSON
//	audit         audit     number → record as CBOR
//	commands      commands  number → record as CBOR
//	announced     commands  device id → hash of the schema it announced last (8 bytes)
//	desired       settings  device id → its settings as CBOR
//	incidents     outages   device id → deviceLogRecord as CBOR
//	gaps          outages   first position, then Gap.Tail → Gap as JSON
//	books         ledger    device id → accountRecord as CBOR
//	boots         ledger    device id → bootsRecord as CBOR: which offsets in its account are of the machine's present boot
//	sources       ledger    number → sourceRecord as CBOR
//	schemas       ledger    hash (8 bytes) → SCHEMA message
//	dead_letters  ledger    position → DeadLetter as CBOR
//	meta                    keys:
//	  cursor                ledger: position up to which books, sources and dead letters are recorded
//	  clock                 ledger: the clock that times in the journal and in books are by, as CBOR
//	  runs                  outages: the newest runs of the hub, as CBOR
//	  export                export: what is still to be exported, as CBOR; none if nothing was ever exported
//	  accounts              accounts: 1 once users and API keys are kept here; without it they are restored from their copy
//	  clock commands, clock sessions, clock tokens
//	                        clockRecord as CBOR: the clock that times are by in commands and settings, in sessions, and of tokens
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
