package main

import (
	"fmt"
	"strings"
	"time"

	"portward/internal/bundle/signature"
)

// A verified bundle, and the form of --json. Its names are a promise.
type verified struct {
	Bundle   string            `json:"bundle,omitempty"`
	File     string            `json:"file,omitempty"` // instead of a bundle
	Version  string            `json:"version,omitempty"`
	Hash     string            `json:"hash,omitempty"`     // the seal's: the release
	Platform string            `json:"platform,omitempty"` // of the programs, if they tell
	Signed   bool              `json:"signed"`             // by Apple's rules
	Root     string            `json:"root,omitempty"`     // SHA-256 of the metadata's root that vouches for the seal
	Programs []verifiedProgram `json:"programs,omitempty"`
}

type verifiedProgram struct {
	Path         string    `json:"path"` // from the app
	CPU          string    `json:"cpu"`
	Identifier   string    `json:"identifier"`
	Team         string    `json:"team,omitempty"`
	CDHash       string    `json:"cdhash"`
	Unbound      bool      `json:"unbound,omitempty"` // the app's signature knows its signer only
	Flags        []string  `json:"flags"`
	Authority    []string  `json:"authority,omitempty"` // leaf first
	Entitlements []string  `json:"entitlements,omitempty"`
	Requirement  string    `json:"requirement,omitempty"` // the designated one
	Signed       time.Time `json:"signed,omitzero"`
	Timestamp    time.Time `json:"timestamp,omitzero"`
}

func flagsOf(p signature.Program) []string {
	flags := []string{}
	if p.AdHoc {
		flags = append(flags, "adhoc")
	}
	if p.Flags&signature.FlagLinkerSigned != 0 {
		flags = append(flags, "linker-signed")
	}
	if p.Runtime {
		flags = append(flags, "runtime")
	}
	return append(flags, fmt.Sprintf("0x%x", p.Flags))
}

func (v *verified) print() {
	if v.File == "" {
		fmt.Printf("%s: %s, %s\n", v.Bundle, v.Version, v.Hash)
	}
	for i, p := range v.Programs {
		if i > 0 || v.File == "" {
			fmt.Println()
		}
		fmt.Printf("%s (%s)\n", p.Path, p.CPU)
		line := func(name, value string) {
			if value != "" {
				fmt.Printf("  %-12s %s\n", name, value)
			}
		}
		line("identifier", p.Identifier)
		line("team", p.Team)
		line("cdhash", p.CDHash)
		if p.Unbound {
			line("unbound", "another program of this signer's would do as well")
		}
		line("flags", strings.Join(p.Flags, " "))
		line("authority", strings.Join(p.Authority, " < "))
		line("asks for", strings.Join(p.Entitlements, " "))
		if !p.Timestamp.IsZero() {
			line("timestamp", p.Timestamp.UTC().Format(time.RFC3339))
		}
		line("requirement", p.Requirement)
	}
}

// printDoubts says what was not proved.
func (c *checking) printDoubts(v *verified) {
	fmt.Println()
	switch {
	case !v.Signed:
		fmt.Printf("not signed: programs for %s\n", v.Platform)
	case c.AllowAdHoc:
		fmt.Println("anybody can make signatures that are nobody's: they prove nothing of who made this")
	case c.team == "" && c.Requirement == nil:
		fmt.Printf("signed by %s; whoever has another certificate below those roots can sign\nit again, and make a seal again: --team ID says whose it has to be\n", v.Programs[0].Authority[0])
	}
	switch {
	case v.File != "": // has no seal
	case v.Root == "":
		fmt.Println("no repository vouches for the seal, which anybody can make again")
	case c.trust == "":
		fmt.Printf("the repository whose root is %s vouches for the seal;\nthat root came with the bundle: --trust FILE says which it has to be\n", v.Root)
	default:
		fmt.Printf("the repository whose root is %s vouches for the seal\n", v.Root)
	}
}
