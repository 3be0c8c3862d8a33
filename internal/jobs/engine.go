package jobs

import (
	"context"
	"time"
)

// An Engine keeps jobs as launchd does. Every engine passes jobstest; what one
// lacks is named where it does.
//
// A method that answers nil has done what it says, and the events of it have
// been queued for everyone who watches.
type Engine interface {
	// Bootstrap loads the plist at path into a domain. In the domain GUI it is
	// loaded in every session whose type it admits, present and future.
	Bootstrap(ctx context.Context, d Domain, path string) error
	// Bootout stops the job (SIGTERM, after ExitTimeOut SIGKILL, both to the
	// process group), unloads it and returns when it is gone. A target in the
	// domain GUI ("gui/LABEL") means the job in every session.
	Bootout(ctx context.Context, t Target) error
	// Kickstart starts the job if it is not running and returns when it has
	// started. With kill a running job is killed by SIGKILL first. A start that
	// fails is ErrStart. While the job is held it is ErrHeld and does nothing.
	Kickstart(ctx context.Context, t Target, kill bool) error
	// Hold keeps the job from being started before until; connections to its
	// sockets stay queued, unless the engine is launchd, which has no such thing.
	// The zero time lifts it. A running job goes on.
	Hold(ctx context.Context, t Target, until time.Time) error
	// State describes one job. ErrNotLoaded.
	State(ctx context.Context, t Target) (State, error)
	// List describes every loaded job, ordered by target.
	List(ctx context.Context) ([]State, error)
	// Sessions lists the logins, oldest first.
	Sessions(ctx context.Context) ([]Session, error)
	// Watch reports every event from now on, in order, until ctx ends; then the
	// channel is closed. It never drops one: a reader that is WatchQueue events
	// behind gets Overflow as the last one, and a closed channel.
	Watch(ctx context.Context) (<-chan Event, error)
}

// WatchQueue is how many events wait for a reader of Watch.
const WatchQueue = 1024

// SessionType is launchd's kind of session, a value of LimitLoadToSessionType.
type SessionType string

// The session types of launchd.plist(5).
const (
	Aqua        SessionType = "Aqua"
	LoginWindow SessionType = "LoginWindow"
	Background  SessionType = "Background"
	StandardIO  SessionType = "StandardIO"
)

// A Session is one login.
type Session struct {
	ID   string      `json:"id"`
	UID  uint32      `json:"uid"`
	GID  uint32      `json:"gid"`
	User string      `json:"user"`
	Type SessionType `json:"type"` // "" at Login means Aqua
	// Env is added to the environment of the session's jobs. It stays with the
	// engine.
	Env []string `json:"-"`
}
