package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"portward/internal/program"
	"portward/internal/update/publish"
	"portward/internal/update/tufrepo"
)

const keysUsage = `usage: portward keys init --repo DIR --root DIR,DIR,DIR --targets DIR --online DIR
       portward keys rotate ROLE --repo DIR --root DIR,DIR[,DIR] [--targets DIR] [--online DIR]
       portward keys renew --repo DIR --root DIR,DIR[,DIR]
       portward keys show --repo DIR

Makes, replaces and shows the keys of a repository.

  init    makes five keys and an empty repository. Two of the three root keys are
          enough to replace any key; keep each on a medium of its own, away from
          this machine. The targets key signs releases; the online key, which has
          no passphrase, signs snapshot and timestamp daily. Nothing is ever
          overwritten.
  rotate  replaces a key, lost or not. ROLE is targets or online; root for all
          three root keys; or the directory of the one root key to replace. One
          directory holds one key, here too
  renew   signs the root for another year, with the same keys
  show    tells when the signatures end, and warns 30, 14 and 7 days before (of
          those that last for less, 3 days and 1)

  --repo DIR             the repository
  --root DIR,DIR,DIR     the directories of the root keys; two are enough to sign
  --targets DIR          the directory of the targets key
  --online DIR           the directory of the online key
  --passphrase-file FILE

` + passphraseUsage

// keyVerbs are what keys does.
var keyVerbs = []string{"init", "rotate", "renew", "show"}

func noKeyVerb(verb string) error {
	return fmt.Errorf("init, rotate, renew or show, not %q", verb)
}

// keyFlags is the command line of all three.
type keyFlags struct {
	repo, root, passFile string
	dirs                 tufrepo.KeyDirs
}

func (k *keyFlags) define(fs *flag.FlagSet) {
	fs.StringVar(&k.repo, "repo", "", "")
	fs.StringVar(&k.root, "root", "", "")
	fs.StringVar(&k.dirs.Targets, "targets", "", "")
	fs.StringVar(&k.dirs.Online, "online", "", "")
	fs.StringVar(&k.passFile, "passphrase-file", "", "")
}

func keys(args []string) (int, error) {
	var k keyFlags
	flags := toolFlags("keys")
	k.define(flags)
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") && !slices.Contains(keyVerbs, args[0]) {
		return program.ExitUsage, fmt.Errorf("%w\nhint: portward keys --help", noKeyVerb(args[0])) // whatever --help follows
	}
	rest, err := parseMixed(flags, args, keysUsage)
	if err != nil {
		return program.ExitUsage, err
	}
	do, err := k.choose(rest)
	if err != nil {
		return program.ExitUsage, fmt.Errorf("%w\nhint: portward keys --help", err)
	}
	if err := do(); err != nil {
		return exitData, wrongPassphrase(err, k.passFile)
	}
	return program.ExitOK, nil
}

// choose answers what is to be done, when all that it needs was said.
func (k *keyFlags) choose(rest []string) (func() error, error) {
	if len(rest) == 0 {
		return nil, errors.New("init, rotate, renew or show?")
	}
	if k.repo == "" {
		return nil, errors.New("which repository? --repo DIR")
	}
	if k.root != "" {
		k.dirs.Root = strings.Split(k.root, ",")
	}
	if slices.Contains(k.dirs.Root, "") || len(k.dirs.Root) > 3 {
		return nil, fmt.Errorf("--root %s: three directories", k.root)
	}
	verb, rest := rest[0], rest[1:]
	do, known := map[string]func() error{"init": k.init, "renew": k.renew, "show": k.show}[verb]
	switch {
	case verb == "rotate" && len(rest) == 1:
		return func() error { return k.rotate(rest[0]) }, k.canRotate(rest[0])
	case verb == "rotate":
		return nil, errors.New("rotate targets, online, root or the directory of a root key")
	case !known:
		return nil, noKeyVerb(verb)
	case len(rest) > 0:
		return nil, fmt.Errorf("keys %s takes no argument %q", verb, rest[0])
	case verb == "init":
		return do, k.need(3, true, true)
	case verb == "renew":
		return do, k.need(2, false, false)
	}
	return do, nil
}

func (k *keyFlags) canRotate(role string) error {
	switch role {
	case "root":
		return k.need(3, false, false)
	case "targets":
		return k.need(2, true, true)
	case "online":
		return k.need(2, false, true)
	}
	if !slices.Contains(k.dirs.Root, role) {
		return fmt.Errorf("%q is neither targets, online or root nor one of --root", role)
	}
	return k.need(2, false, false)
}

// need: with fewer keys nothing could be signed.
func (k *keyFlags) need(roots int, targets, online bool) error {
	switch {
	case len(k.dirs.Root) < roots:
		return fmt.Errorf("--root names %d directories, %d are needed", len(k.dirs.Root), roots)
	case targets && k.dirs.Targets == "":
		return errors.New("where is the targets key? --targets DIR")
	case online && k.dirs.Online == "":
		return errors.New("where is the online key? --online DIR")
	}
	return nil
}

func (k *keyFlags) init() error {
	pass, err := askPass(k.passFile)
	if err != nil {
		return err
	}
	if err := tufrepo.InitKeys(k.repo, k.dirs, pass, time.Now()); err != nil {
		return err
	}
	fmt.Printf("%s is a repository now; machines begin with its metadata/1.root.json\n", k.repo)
	sayProgress("keep %s apart from each other, and away from this machine", strings.Join(k.dirs.Root, ", "))
	return nil
}

func (k *keyFlags) rotate(role string) error {
	return k.change(func(o publish.Options) error { return publish.Rotate(o, role) })
}

func (k *keyFlags) renew() error { return k.change(publish.RenewRoot) }

// change does it while nobody publishes, and shows what is in force then.
func (k *keyFlags) change(do func(publish.Options) error) error {
	pass, err := askPass(k.passFile)
	if err != nil {
		return err
	}
	o := publish.Options{Repo: k.repo, Keys: k.dirs, Pass: pass, Now: time.Now(), Progress: func(line string) { sayProgress("%s", line) }}
	if err := do(o); err != nil {
		return err
	}
	return k.show()
}

func (k *keyFlags) show() error {
	repo, err := tufrepo.OpenRepo(k.repo, tufrepo.KeyDirs{}, nil)
	if err != nil {
		return err
	}
	now := time.Now()
	list := repo.Expiries()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ROLE\tVERSION\tENDS\tIN")
	for _, e := range list {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", e.Role, e.Version, e.Expires.UTC().Format(time.RFC3339), untilDays(e.Expires.Sub(now)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, line := range tufrepo.Warn(list, now) {
		sayProgress("warning: %s", line)
	}
	return nil
}

func untilDays(d time.Duration) string {
	if d <= 0 {
		return "it is over"
	}
	return fmt.Sprintf("%d days", int(d.Round(24*time.Hour)/(24*time.Hour)))
}
