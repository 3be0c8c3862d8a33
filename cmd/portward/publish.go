package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"portward/internal/program"
	"portward/internal/update/publish"
	"portward/internal/update/tufrepo"
)

const publishUsage = `usage: portward publish --repo DIR --keys DIR [flags] BUNDLE
       portward publish --repo DIR --keys DIR --rollout SHARE [--ramp D]
       portward publish --repo DIR --keys DIR --recall VERSION|HASH
       portward publish --repo DIR --keys DIR --resign|--renew

Makes BUNDLE the release of a channel, or changes the present one. DIR is served
as it is by any static HTTPS host. Everything in it but metadata/timestamp.json
keeps its name and bytes for ever.

BUNDLE is compared with the present release as lint-release does; what would hurt
the people who run that is not published; nor is a Mac's bundle that nobody signed
for whom Apple vouches. The file published.json beside the targets key remembers
the newest version and every recall: an older copy of the repository, which would
take them back, is refused. Each directory with a copy of that key has its own; in
a new one it begins with what the repository says.

  --repo DIR         the repository, made by portward keys init
  --keys DIR         where the keys are: DIR/targets and DIR/online
  --targets-key DIR  that one elsewhere
  --online-key DIR   that one elsewhere
  --channel C        stable, unless something else is said
  --platform P       linux-amd64, ...: what the bundle's programs were built
                     for; for --rollout and --recall all of the channel's
  --rollout SHARE    how many machines take it: 25%, or 0% for nobody (100%)
  --ramp D           reach that share steadily within D, beginning with nobody
  --security         sessions may hold it back for 10 minutes at most
  --deltas N         make patches from the last N releases (3)
  --despite-lint     publish it, whatever lint or its signature says
  --recall WHICH     that release must not run: machines go back to the one they
                     retained, and a recalled present release gives way to the
                     good one before it. What was recalled before, and this copy
                     of the repository does not know, is recalled again
  --resign           renew what ends first, snapshot and timestamp: daily
  --renew            renew the signature on the releases as well: quarterly, if
                     nothing is published meanwhile
  --passphrase-file FILE

` + passphraseUsage

const defaultChannel = "stable"

// A publishing is the command line.
type publishing struct {
	repo, keys, targets, online, passFile string
	recall                                string
	resign, renew                         bool
	share                                 string
	ramp                                  time.Duration
	plan                                  publish.Plan
}

func publishRelease(args []string) (int, error) {
	p, err := parsePublishing(args)
	if err != nil {
		return program.ExitUsage, err
	}
	pass, err := askPass(p.passFile)
	if err != nil {
		return program.ExitUsage, err
	}
	to, err := publish.Open(publish.Options{
		Repo: p.repo, Pass: pass, Now: time.Now(),
		Keys: tufrepo.KeyDirs{
			Targets: cmp.Or(p.targets, filepath.Join(p.keys, "targets")),
			Online:  cmp.Or(p.online, filepath.Join(p.keys, "online")),
		},
		Progress: func(line string) {
			sayProgress("%s", line)
			if strings.Contains(line, saysUnbelieved) {
				sayProgress("hint: one from Apple needs the whole chain in the p12; Macs that were not told of it believe no other")
			}
		},
	})
	if err != nil {
		return program.ExitConfig, err
	}
	defer to.Close()
	if err := p.do(to); err != nil {
		return exitData, wrongPassphrase(err, p.passFile)
	}
	for _, w := range to.Warnings() {
		sayProgress("warning: %s", w)
	}
	return program.ExitOK, nil
}

func parsePublishing(args []string) (*publishing, error) {
	p := &publishing{}
	flags := toolFlags("publish")
	for name, to := range map[string]*string{
		"repo": &p.repo, "keys": &p.keys, "targets-key": &p.targets, "online-key": &p.online, "passphrase-file": &p.passFile,
		"recall": &p.recall, "rollout": &p.share, "platform": &p.plan.Platform,
	} {
		flags.StringVar(to, name, "", "")
	}
	flags.StringVar(&p.plan.Channel, "channel", defaultChannel, "")
	durationVar(flags, &p.ramp, "ramp", 0)
	flags.BoolVar(&p.plan.Security, "security", false, "")
	flags.BoolVar(&p.plan.DespiteLint, "despite-lint", false, "")
	flags.BoolVar(&p.resign, "resign", false, "")
	flags.BoolVar(&p.renew, "renew", false, "")
	flags.IntVar(&p.plan.Deltas, "deltas", 3, "")
	rest, err := parseMixed(flags, args, publishUsage)
	if err != nil {
		return nil, err
	}
	if err := p.check(rest); err != nil {
		return nil, fmt.Errorf("%w\nhint: portward publish --help", err)
	}
	return p, nil
}

// check settles which of the four things is meant.
func (p *publishing) check(rest []string) error {
	if p.repo == "" {
		return errors.New("which repository? --repo DIR")
	}
	if p.keys == "" && (p.online == "" || p.targets == "" && !p.resign) {
		return errors.New("whose keys? --keys DIR")
	}
	if len(rest) > 1 {
		return fmt.Errorf("one bundle, not %q too", rest[1])
	}
	if len(rest) == 1 {
		p.plan.Bundle = rest[0]
	}
	meant := 0
	for _, is := range []bool{p.plan.Bundle != "", p.recall != "", p.resign, p.renew} {
		if is {
			meant++
		}
	}
	switch {
	case meant > 1:
		return errors.New("one of a bundle, --recall, --resign and --renew")
	case meant == 0 && p.share == "":
		return errors.New("publish what?")
	case p.share != "" && p.plan.Bundle == "" && meant > 0:
		return errors.New("--rollout is for a bundle, or alone")
	case p.plan.Deltas < 0 || p.plan.Deltas > maxDeltas:
		return fmt.Errorf("--deltas %d: between 0 and %d", p.plan.Deltas, maxDeltas)
	case p.ramp < 0 || p.ramp > 0 && p.ramp < time.Second:
		return fmt.Errorf("--ramp %v: a second at least", p.ramp)
	case p.ramp > 0 && meant > 0 && p.plan.Bundle == "":
		return errors.New("--ramp is for a bundle, or for --rollout")
	case p.plan.Security && p.plan.Bundle == "":
		return errors.New("--security is for a bundle")
	case p.plan.DespiteLint && p.plan.Bundle == "":
		return errors.New("--despite-lint is for a bundle")
	}
	var err error
	p.plan.Share, err = parseShare(cmp.Or(p.share, "100%"))
	p.plan.Ramp = p.ramp
	return err
}

// maxDeltas bounds the work for one release.
const maxDeltas = 16

// parseShare reads a percentage with at most two decimals.
func parseShare(s string) (int, error) {
	number, ok := strings.CutSuffix(s, "%")
	whole, rest, _ := strings.Cut(number, ".")
	rest = (rest + "00")[:max(2, len(rest))]
	n, err := strconv.ParseUint(whole+rest, 10, 32)
	if !ok || err != nil || whole == "" || len(rest) > 2 || n > publish.Whole {
		return 0, fmt.Errorf("--rollout %s: a share like 25%% or 0.5%%", s)
	}
	return int(n), nil
}

func (p *publishing) do(to *publish.Publisher) error {
	switch {
	case p.resign:
		return to.Resign()
	case p.renew:
		return to.Renew()
	case p.recall != "":
		list, err := to.Recall(p.plan.Channel, p.plan.Platform, p.recall)
		tellAll(list, err)
		return err
	case p.plan.Bundle == "":
		list, err := to.SetShare(p.plan.Channel, p.plan.Platform, p.plan.Share, p.ramp)
		tellAll(list, err)
		return err
	}
	if err := checkBundle(p.plan.Bundle); err != nil {
		return err
	}
	s, err := to.Publish(p.plan)
	if err != nil {
		return err
	}
	fmt.Printf("published %s to %s/%s for %s of machines (contents: %d; new blobs: %d, %s; new patches: %d, %s)\n%s\n",
		s.Version, s.Channel, s.Platform, showShare(s.Share), s.Files, s.Blobs, megabytes(s.BlobBytes), s.Deltas, megabytes(s.DeltaBytes), s.Hash)
	return nil
}

func tellAll(list []publish.Summary, err error) {
	if err != nil {
		return
	}
	for _, s := range list {
		recalled := ""
		if s.Recalled != "" {
			recalled = s.Recalled + " is recalled; "
		}
		fmt.Fprintf(os.Stdout, "%s/%s: %s%s is offered to %s of machines\n", s.Channel, s.Platform, recalled, s.Version, showShare(s.Share))
	}
}

func showShare(share int) string {
	return strconv.FormatFloat(float64(share)*100/publish.Whole, 'f', -1, 64) + "%"
}
