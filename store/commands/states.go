package commands

// CommandState says how far a command has got.
type CommandState string

// The states. Queued and sent are open: something is still to come. Unknown is not the end for certain: a late answer settles it.
const (
	CommandQueued    CommandState = "queued"    // stored, and not given to a connection yet
	CommandSent      CommandState = "sent"      // given to a connection of the device, and not answered
	CommandSucceeded CommandState = "succeeded" // the device says so
	CommandFailed    CommandState = "failed"    // the device tried, and it went wrong
	CommandRejected  CommandState = "rejected"  // the device did not begin it
	CommandExpired   CommandState = "expired"   // its time was over before it was begun: it never will be
	CommandUnknown   CommandState = "unknown"   // sent, and not answered in time: it may have been carried out
	CommandCancelled CommandState = "cancelled" // taken back, or superseded, before it was sent
)

// CommandStates returns all states, in the order in which a command may go through them.
func CommandStates() []CommandState {
	return []CommandState{
		CommandQueued, CommandSent, CommandSucceeded, CommandFailed, CommandRejected, CommandExpired, CommandUnknown, CommandCancelled,
	}
}

// Open says whether the command waits for its device: it is queued or sent.
func (s CommandState) Open() bool { return s == CommandQueued || s == CommandSent }

// commandEvent is what can happen to a command.
type commandEvent string

const (
	eventSend    commandEvent = "send"    // the hub gives it to a connection
	eventTimeout commandEvent = "timeout" // nothing has come in time
	eventCancel  commandEvent = "cancel"  // a person takes it back, a newer one supersedes it, or its device is removed
	eventSucceed commandEvent = "succeed" // RESULT 0
	eventFail    commandEvent = "fail"    // RESULT 1
	eventReject  commandEvent = "reject"  // RESULT 2
	eventExpire  commandEvent = "expire"  // RESULT 3
)

// commandTransition is one line of the state machine.
type commandTransition struct {
	from  CommandState
	event commandEvent
	to    CommandState
}

// commandTransitions is the whole state machine. What is not here does not happen: an answer to a command that is settled is a
// repeated one, and what was sent cannot be cancelled.
var commandTransitions = [...]commandTransition{
	{CommandQueued, eventSend, CommandSent},
	{CommandQueued, eventTimeout, CommandExpired},
	{CommandQueued, eventCancel, CommandCancelled},

	{CommandSent, eventSucceed, CommandSucceeded},
	{CommandSent, eventFail, CommandFailed},
	{CommandSent, eventReject, CommandRejected},
	{CommandSent, eventExpire, CommandExpired},
	{CommandSent, eventTimeout, CommandUnknown},

	{CommandUnknown, eventSucceed, CommandSucceeded},
	{CommandUnknown, eventFail, CommandFailed},
	{CommandUnknown, eventReject, CommandRejected},
	{CommandUnknown, eventExpire, CommandExpired},
}

// after returns the state that an event leads to, and false if it changes nothing.
func (s CommandState) after(event commandEvent) (to CommandState, ok bool) {
	for _, t := range commandTransitions {
		if t.from == s && t.event == event {
			return t.to, true
		}
	}
	return s, false
}
