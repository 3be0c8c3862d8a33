package wire

// The messages to the anonymous endpoint that an agent sent with its Attach,
// and those that hand the endpoint on.

// Ping asks an agent whether it lives; answered by Pong.
type Ping struct{}

// Dict is the message as it travels.
func (Ping) Dict() Dict { return Dict{"k": string(KindPing)} }

// ParsePing reads a Ping.
func ParsePing(d Dict) (Ping, error) { return finish(open(d, KindPing), Ping{}) }

// Pong answers a Ping: frames of this agent released so far, in all its life.
type Pong struct{ Frames uint64 }

// Dict is the message as it travels.
func (m Pong) Dict() Dict { return Dict{"k": string(KindPong), "frames": m.Frames} }

// ParsePong reads a Pong or the Refusal that came instead.
func ParsePong(d Dict) (Pong, error) {
	f := openReply(d, KindPong)
	return finish(f, Pong{f.uint("frames", 0, maxUint)})
}

// Refresh asks an agent to send its whole picture again; answered by OK.
type Refresh struct{}

// Dict is the message as it travels.
func (Refresh) Dict() Dict { return Dict{"k": string(KindRefresh)} }

// ParseRefresh reads a Refresh.
func ParseRefresh(d Dict) (Refresh, error) { return finish(open(d, KindRefresh), Refresh{}) }

// Describe asks an agent who it is; answered by Description.
type Describe struct{}

// Dict is the message as it travels.
func (Describe) Dict() Dict { return Dict{"k": string(KindDescribe)} }

// ParseDescribe reads a Describe.
func ParseDescribe(d Dict) (Describe, error) { return finish(open(d, KindDescribe), Describe{}) }

// Description answers a Describe.
type Description struct{ Session, Build string }

// Dict is the message as it travels.
func (m Description) Dict() Dict {
	return Dict{"k": string(KindDescription), "session": m.Session, "build": m.Build}
}

// ParseDescription reads a Description or the Refusal that came instead.
func ParseDescription(d Dict) (Description, error) {
	f := openReply(d, KindDescription)
	return finish(f, Description{f.session("session"), f.text("build")})
}

// Relay asks netchild for the endpoint that a session's agent sent; answered
// by Relayed.
type Relay struct{ Session string }

// Dict is the message as it travels.
func (m Relay) Dict() Dict { return Dict{"k": string(KindRelay), "session": m.Session} }

// ParseRelay reads a Relay.
func ParseRelay(d Dict) (Relay, error) {
	f := open(d, KindRelay)
	return finish(f, Relay{f.session("session")})
}

// Relayed answers a Relay.
type Relayed struct{ Endpoint Handle }

// Dict is the message as it travels.
func (m Relayed) Dict() Dict { return Dict{"k": string(KindRelayed), "endpoint": m.Endpoint} }

// ParseRelayed reads a Relayed or the Refusal that came instead.
func ParseRelayed(d Dict) (Relayed, error) {
	f := openReply(d, KindRelayed)
	return finish(f, Relayed{f.handle("endpoint", HandleEndpoint)})
}
