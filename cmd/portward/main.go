// Command portward is the tool for people: it runs the whole product on this
// machine, pokes it, asks it and explains what happened, and makes and publishes
// releases. The product itself needs one verb of it, fetch, which the supervisor
// starts without any rights. It must never decide in the supervisor's place.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"portward/internal/program"
)

const usage = `usage: portward VERB [flags]

  up        run the whole product here until Ctrl-C
  status    show the jobs and logins of the running one
  poke      make one of its processes fail
  explain   tell why each of its processes was started again

  install    put a signed bundle into this Mac
  uninstall  take it away again

  update    look for a release now, and take it
  rollback  go back to the retained bundle
  unblock   let a release be tried again that failed here

  pack          make a bundle of the programs
  sign          sign a bundle for macOS
  verify        read a bundle again, and say what it is and who signed it
  keys          make, replace and show the keys of a repository
  publish       make a bundle the release of a channel, or recall one
  lint-release  refuse what would hurt the people who run the release before

  version   print the build

portward VERB --help tells more.
`

// verbs in the order of the usage text.
var verbs = map[string]func(args []string) (int, error){
	"up":           up,
	"status":       showStatus,
	"poke":         poke,
	"explain":      explain,
	"install":      installVerb,
	"uninstall":    uninstallVerb,
	"update":       updateVerb,
	"rollback":     rollbackVerb,
	"unblock":      unblockVerb,
	"pack":         pack,
	"sign":         signBundle,
	"verify":       verifyBundle,
	"keys":         keys,
	"publish":      publishRelease,
	"lint-release": lintRelease,
	fetchVerb:      fetchFor, // for the supervisor alone, and not in the usage
	boundVerb:      bound,    // for build alone, and not in the usage
	"version":      func([]string) (int, error) { fmt.Println("portward", program.Build()); return 0, nil },
}

func main() {
	os.Exit(program.Main("portward", func() (int, error) {
		if len(os.Args) < 2 {
			fmt.Fprint(os.Stderr, usage)
			return program.ExitUsage, nil
		}
		name := os.Args[1]
		args := os.Args[2:]
		if name == "help" && len(args) > 0 {
			name, args = args[0], []string{"--help"}
		}
		switch name {
		case "help", "--help", "-h":
			fmt.Print(usage)
			return program.ExitOK, nil
		case "--version":
			name = "version"
		}
		verb, ok := verbs[name]
		if !ok {
			return program.ExitUsage, fmt.Errorf("no verb %q\nhint: portward help", name)
		}
		code, err := verb(args)
		if errors.Is(err, flag.ErrHelp) {
			return program.ExitOK, nil
		}
		return code, err
	}))
}

// newFlags answers a flag set whose faults are errors and whose help is text.
func newFlags(verb, text string) *flag.FlagSet {
	fs := flag.NewFlagSet(verb, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	fs.String("root", "", "")
	return fs
}

// parse reads the command line; with --help it prints text and answers
// flag.ErrHelp.
func parse(fs *flag.FlagSet, args []string, text string) error {
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Print(text)
		return flag.ErrHelp
	}
	if err != nil {
		return fmt.Errorf("%w\nhint: portward %s --help", err, fs.Name())
	}
	return nil
}
