package viewer

import (
	"encoding/json"
	"time"

	"portward/internal/hub"
)

// protocolVersion is told in the first message. From the first release on it changes
// with the messages and with the layout of updates, and so does the page's (app.js): a
// page that is open since before an update then loads itself anew.
const protocolVersion = 1

// greeting is every text message the server sends; doc.go says when.
type greeting struct {
	Type     string             `json:"type"`
	Version  int                `json:"version,omitzero"`
	Now      time.Time          `json:"now"`
	Life     uint64             `json:"life,omitzero"`
	Started  time.Time          `json:"started,omitzero"`
	Sessions []hub.SessionState `json:"sessions"`
}

func (s *server) greet(states []hub.SessionState, first bool) []byte {
	g := greeting{Type: "sessions", Now: time.Now(), Sessions: states}
	if first {
		g.Type, g.Version, g.Life, g.Started = "hello", s.version, s.cfg.Life, s.cfg.Started
	}
	data, err := json.Marshal(g)
	if err != nil {
		panic(err) // numbers, strings and times
	}
	return data
}
