package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"

	"portward/internal/bundle/sign"
	"portward/internal/update/tufrepo"
)

// passphraseVariable holds the passphrase of every key, where no person types.
const passphraseVariable = "PORTWARD_PASSPHRASE"

const passphraseUsage = `Passphrases are asked for on the terminal, or taken from --passphrase-file FILE
(its first line), or from PORTWARD_PASSPHRASE.
`

// askPass answers who knows the passphrases: the file, the environment, or the
// person at the terminal. A new online key gets none: it works unattended.
func askPass(file string) (tufrepo.Pass, error) {
	ask := typed
	if file != "" {
		pass, err := passphraseIn(file)
		if err != nil {
			return nil, fmt.Errorf("--passphrase-file: %w", err)
		}
		ask = func(string, string) ([]byte, error) { return pass, nil }
	} else if pass := os.Getenv(passphraseVariable); pass != "" {
		ask = func(string, string) ([]byte, error) { return []byte(pass), nil }
	}
	return func(role, path string) ([]byte, error) {
		if role == "new online" {
			return nil, nil
		}
		return ask(role, path)
	}, nil
}

// wrongPassphrase says of a passphrase that opens nothing where it came from.
func wrongPassphrase(err error, file string) error {
	switch {
	case !errors.Is(err, tufrepo.ErrPassphrase) && !errors.Is(err, sign.ErrPassphrase):
		return err
	case file != "":
		return fmt.Errorf("%w\nhint: --passphrase-file %s has another's", err, file)
	case os.Getenv(passphraseVariable) != "":
		return fmt.Errorf("%w\nhint: %s has another's; --passphrase-file FILE goes before it", err, passphraseVariable)
	}
	return fmt.Errorf("%w\nhint: type it again, or --passphrase-file FILE", err)
}

// passphraseIn reads a file that nobody else may read.
func passphraseIn(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil {
		return nil, err
	} else if fi.Mode().IsRegular() && fi.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: others may read it\nhint: chmod 600 %s", file, file)
	}
	data, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return nil, err
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	if line = bytes.TrimSuffix(line, []byte("\r")); len(line) == 0 {
		return nil, fmt.Errorf("%s: its first line is empty", file)
	}
	return line, nil
}

// typed asks the person: twice for a new key. One root key may be passed over.
func typed(role, path string) ([]byte, error) {
	in := int(os.Stdin.Fd())
	if !term.IsTerminal(in) {
		return nil, fmt.Errorf("no terminal to ask for the passphrase of the %s key %s\nhint: --passphrase-file FILE, or %s", role, path, passphraseVariable)
	}
	passOver := ""
	if role == "root" {
		passOver = " (empty: do without it)"
	}
	first, err := typeOnce(in, fmt.Sprintf("passphrase of the %s key %s%s: ", role, path, passOver))
	if err != nil {
		return nil, err
	}
	isNew := strings.HasPrefix(role, "new ")
	if len(first) == 0 && (isNew || role != "root") {
		return nil, errors.New("an empty passphrase")
	}
	if !isNew {
		return first, nil
	}
	again, err := typeOnce(in, "once more: ")
	if err == nil && !bytes.Equal(first, again) {
		err = errors.New("the two passphrases differ")
	}
	return first, err
}

func typeOnce(in int, prompt string) ([]byte, error) {
	defer showAgain(in)()
	fmt.Fprint(os.Stderr, prompt)
	pass, err := term.ReadPassword(in)
	fmt.Fprintln(os.Stderr)
	return pass, err
}

// showAgain has a signal that ends this process leave a terminal that shows what
// is typed, as it was before. It answers what ends that.
func showAgain(in int) (end func()) {
	before, err := term.GetState(in)
	if err != nil {
		return func() {}
	}
	caught, ended := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(caught, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		select {
		case <-ended:
		case s := <-caught:
			_ = term.Restore(in, before)
			fmt.Fprintln(os.Stderr)
			signal.Reset(s)
			_ = syscall.Kill(os.Getpid(), s.(syscall.Signal))
		}
	}()
	return func() {
		signal.Stop(caught)
		close(ended)
	}
}
