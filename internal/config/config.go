// Package config knows the product's configuration file and the values that
// hold without one. It must never know who wrote the file or what a value is
// used for.
package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Version is the version of the file's form.
const Version = 1

// maxSize bounds the file; a larger one is refused unread.
const maxSize = 64 << 10

// A Config says how patient the product is. The zero value of a field in the
// file means its default.
type Config struct {
	Version     int      `json:"version"`
	Healthy     Duration `json:"healthy,omitempty"`      // netchild's healthy stretch: a death after it is not a fast one
	StartWithin Duration `json:"start_within,omitempty"` // from netchild's start to its check-in
	HangLimit   Duration `json:"hang_limit,omitempty"`   // netchild without progress: stacks are written
	HangGrace   Duration `json:"hang_grace,omitempty"`   // after the limit: it is killed
	FastDeaths  int      `json:"fast_deaths,omitempty"`  // fast deaths in a row before netchild is held
	BackoffMin  Duration `json:"backoff_min,omitempty"`  // the first hold
	BackoffMax  Duration `json:"backoff_max,omitempty"`  // the longest hold
	Idle        Duration `json:"idle,omitempty"`         // netchild leaves after so long without a viewer; 0 is never
	Update      Update   `json:"update,omitzero"`
}

// An Update says where releases come from and how they are taken.
type Update struct {
	Repo        string   `json:"repo,omitempty"`         // https URL of the repository; empty: there are no updates
	Channel     string   `json:"channel,omitempty"`      // default "stable"
	CA          string   `json:"ca,omitempty"`           // a PEM file with the only authorities that are trusted; empty: the system's
	Proxy       string   `json:"proxy,omitempty"`        // URL; empty: as the environment says
	Rate        int64    `json:"rate,omitempty"`         // bytes per second to download at most; 0 is no limit
	Every       Duration `json:"every,omitempty"`        // between two checks
	TrialWindow Duration `json:"trial_window,omitempty"` // how long a release must be healthy
	MaxLease    Duration `json:"max_lease,omitempty"`    // how long sessions may hold an update back
	FetchUID    uint32   `json:"fetch_uid,omitempty"`    // whom the fetcher runs as, where the supervisor is root
	ProbeUID    uint32   `json:"probe_uid,omitempty"`    // and whom the probe of a trial
}

// Default answers the shipped values.
func Default() Config {
	return Config{
		Version:     Version,
		Healthy:     Duration(10 * time.Second),
		StartWithin: Duration(20 * time.Second),
		HangLimit:   Duration(3 * time.Second),
		HangGrace:   Duration(3 * time.Second), // a loaded machine needs 2 s to write 256 KiB of stacks
		FastDeaths:  5,
		BackoffMin:  Duration(time.Second),
		BackoffMax:  Duration(time.Minute),
		Update: Update{
			Channel:     "stable",
			Every:       Duration(time.Hour),
			TrialWindow: Duration(5 * time.Minute),
			MaxLease:    Duration(8 * time.Hour),
		},
	}
}

// Path answers where the file lies under the product's root.
func Path(root string) string { return filepath.Join(root, "etc", "portward.json") }

// Load reads the file under root. A missing file is the default configuration;
// anything else that is wrong is an error that names the file.
func Load(root string) (Config, error) {
	path := Path(root)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Default(), nil
	}
	if err != nil {
		return Config{}, err
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || fi.Size() > maxSize {
		return Config{}, errors.Join(fmt.Errorf("%s: larger than %d bytes", path, maxSize), err)
	}
	dec := json.NewDecoder(f)
	dec.DisallowUnknownFields()
	c := Config{}
	if err := dec.Decode(&c); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	if c, err = c.complete(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// complete fills in the defaults and refuses what makes no sense.
func (c Config) complete() (Config, error) {
	if c.Version != Version {
		return c, fmt.Errorf("version %d, want %d", c.Version, Version)
	}
	d := Default()
	for _, f := range []struct {
		name       string
		v          *Duration
		def, least Duration
	}{
		{"healthy", &c.Healthy, d.Healthy, Duration(time.Millisecond)},
		{"start_within", &c.StartWithin, d.StartWithin, Duration(100 * time.Millisecond)},
		{"hang_limit", &c.HangLimit, d.HangLimit, Duration(100 * time.Millisecond)},
		{"hang_grace", &c.HangGrace, d.HangGrace, Duration(10 * time.Millisecond)},
		{"backoff_min", &c.BackoffMin, d.BackoffMin, Duration(time.Millisecond)},
		{"backoff_max", &c.BackoffMax, d.BackoffMax, Duration(time.Millisecond)},
		{"idle", &c.Idle, 0, 0},
		{"update.every", &c.Update.Every, d.Update.Every, Duration(time.Second)},
		{"update.trial_window", &c.Update.TrialWindow, d.Update.TrialWindow, Duration(time.Second)},
		{"update.max_lease", &c.Update.MaxLease, d.Update.MaxLease, Duration(time.Second)},
	} {
		if *f.v == 0 {
			*f.v = f.def
		}
		if *f.v < f.least {
			return c, fmt.Errorf("%s is %v, the least is %v", f.name, time.Duration(*f.v), time.Duration(f.least))
		}
	}
	if c.BackoffMax < c.BackoffMin {
		return c, fmt.Errorf("backoff_max %v is below backoff_min %v", time.Duration(c.BackoffMax), time.Duration(c.BackoffMin))
	}
	if c.FastDeaths == 0 {
		c.FastDeaths = d.FastDeaths
	}
	if c.Update.Channel == "" {
		c.Update.Channel = d.Update.Channel
	}
	if strings.Trim(c.Update.Channel, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return c, fmt.Errorf("update.channel %q: small letters, digits and - only", c.Update.Channel)
	}
	if c.Update.Rate < 0 {
		return c, fmt.Errorf("update.rate is %d, the least is 0", c.Update.Rate)
	}
	if c.FastDeaths < 1 {
		return c, fmt.Errorf("fast_deaths is %d, the least is 1", c.FastDeaths)
	}
	return c, nil
}

// Marshal answers the file's bytes.
func (c Config) Marshal() ([]byte, error) {
	c.Version = Version
	b, err := json.MarshalIndent(c, "", "  ")
	return append(b, '\n'), err
}

// A Duration is written as time.ParseDuration reads it: "1.5s".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}
