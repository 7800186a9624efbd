package device

// Limits of telemetry.v1. A reader checks them before it allocates anything.
const (
	MaxMessage  = 16 << 10 // bytes of one WebSocket message, either direction
	MaxSamples  = 1024     // samples in one DATA message
	MaxReadings = 8192     // samples × columns in one DATA message
	MaxChannels = 256      // channels in a schema
	MaxCommands = 64       // commands in a schema
	MaxArgs     = 16       // arguments of one command, values of one result
	MaxName     = 64       // bytes of a name: device, channel, command, argument
	MaxUnit     = 32       // bytes of a unit
	MaxText     = 256      // bytes of a human-readable text (reason, firmware, model)
	MaxString   = 1024     // bytes of one string value
	MaxRanges   = 256      // ranges in one ACK, WELCOME or RESEND
	MaxScale    = 18       // decimal places of a scaled integer, either sign

	// MaxSeq is the highest sequence number: 2⁵³−1, exact in every language's numbers, and one more never wraps.
	MaxSeq = 1<<53 - 1

	// MinTime and MaxTime bound the time of a reading, in µs since 1970, after the conversion of times since boot: the years 0 to
	// 9999, which RFC 3339 can write. The hub rejects a frame with another as RejectBadValue.
	MinTime = -62_167_219_200_000_000
	MaxTime = 253_402_300_799_999_999

	// MaxSparseRanges is how many separate ranges of settled sequence numbers the hub keeps for one stream.
	// A device that would exceed it is closed with CloseTooSparse and sends its oldest frames first.
	MaxSparseRanges = 4096

	// MaxAhead is how far the number of a frame may lie above both the numbers that HELLO says are in use and the highest
	// settled one, and the last number of a LOST above those in use. The hub takes a higher one for corrupt.
	MaxAhead = 1_000_000

	// MaxNewSchemas is how many schemas that it does not know a hub takes from a device at once, and then in a day.
	MaxNewSchemas = 32
	// MaxSkip is how far Next of HELLO may lie above the highest settled number. The hub has a device whose numbers begin
	// further up begin a new stream.
	MaxSkip = 1 << 32
)
