package commands

// State says how far a command has got.
type State string

// The states. Queued and sent are open: something is still to come. Unknown is not the end for certain: a late answer settles it.
const (
	Queued    State = "queued"    // stored, and not given to a connection yet
	Sent      State = "sent"      // given to a connection of the device, and not answered
	Succeeded State = "succeeded" // the device says so
	Failed    State = "failed"    // the device tried, and it went wrong
	Rejected  State = "rejected"  // the device did not begin it
	Expired   State = "expired"   // its time was over before it was begun: it never will be
	Unknown   State = "unknown"   // sent, and not answered in time: it may have been carried out
	Cancelled State = "cancelled" // taken back, or superseded, before it was sent
)

// States returns all states, in the order in which a command may go through them.
func States() []State {
	return []State{
		Queued, Sent, Succeeded, Failed, Rejected, Expired, Unknown, Cancelled,
	}
}

// Open says whether the command waits for its device: it is queued or sent.
func (s State) Open() bool { return s == Queued || s == Sent }

// event is what can happen to a command.
type event string

const (
	eventSend    event = "send"    // the hub gives it to a connection
	eventTimeout event = "timeout" // nothing has come in time
	eventCancel  event = "cancel"  // a person takes it back, a newer one supersedes it, or its device is removed
	eventSucceed event = "succeed" // RESULT 0
	eventFail    event = "fail"    // RESULT 1
	eventReject  event = "reject"  // RESULT 2
	eventExpire  event = "expire"  // RESULT 3
)

// transition is one line of the state machine.
type transition struct {
	from  State
	event event
	to    State
}

// transitions is the whole state machine. What is not here does not happen: an answer to a command that is settled is a
// repeated one, and what was sent cannot be cancelled.
var transitions = [...]transition{
	{Queued, eventSend, Sent},
	{Queued, eventTimeout, Expired},
	{Queued, eventCancel, Cancelled},

	{Sent, eventSucceed, Succeeded},
	{Sent, eventFail, Failed},
	{Sent, eventReject, Rejected},
	{Sent, eventExpire, Expired},
	{Sent, eventTimeout, Unknown},

	{Unknown, eventSucceed, Succeeded},
	{Unknown, eventFail, Failed},
	{Unknown, eventReject, Rejected},
	{Unknown, eventExpire, Expired},
}

// after returns the state that an event leads to, and false if it changes nothing.
func (s State) after(event event) (to State, ok bool) {
	for _, t := range transitions {
		if t.from == s && t.event == event {
			return t.to, true
		}
	}
	return s, false
}
