package main

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"portward/internal/program"
	"portward/internal/update/publish"
)

const lintUsage = `usage: portward lint-release [--repo DIR [--channel C]] OLD NEW

Compares the release OLD with NEW, which is to replace it, and says what would
hurt the people who run OLD, one line each. OLD and NEW are bundles, or
directories with a bundle for each platform (DIR/linux-amd64). Ends with
65 when a line begins with "error:".

  error    version not newer; an identifier, team, entitlement, mode or platform
           changed; a program or platform gone; any change of a job's property
           list; an older minimum, or one that refuses NEW itself; a patch from
           OLD to NEW that does not make NEW's bytes
  warning  what somebody should know

  --repo DIR    look at the repository as well: everything that its channel
                offers must be there and unpack, each patch must round-trip,
                nothing may be expired, and no platform may be left behind
  --channel C   which channel of it (stable)

portward publish does the same with the release that it replaces.
`

func lintRelease(args []string) (int, error) {
	flags := toolFlags("lint-release")
	repo := flags.String("repo", "", "")
	channel := flags.String("channel", defaultChannel, "")
	rest, err := parseMixed(flags, args, lintUsage)
	if err != nil {
		return program.ExitUsage, err
	}
	if len(rest) != 2 {
		return program.ExitUsage, errors.New("lint-release takes OLD and NEW\nhint: portward lint-release --help")
	}
	for _, dir := range rest {
		if err := checkLinted(dir); err != nil {
			return exitData, err
		}
	}
	found, bundles, err := publish.LintAll(rest[0], rest[1])
	if err != nil {
		return exitData, err
	}
	if *repo != "" {
		more, err := publish.LintRepo(publish.Check{Repo: *repo, Channel: *channel, New: bundles, Now: time.Now()})
		if err != nil {
			return exitData, err
		}
		found = append(found, more...)
	}
	for _, f := range found {
		fmt.Println(f)
	}
	if publish.Refused(found) {
		return exitData, nil
	}
	return program.ExitOK, nil
}

// checkLinted is checkBundle for what may be a directory of bundles, too.
func checkLinted(dir string) error {
	if err := checkPlace(dir); err != nil {
		return err
	}
	if err := checkSeal(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
