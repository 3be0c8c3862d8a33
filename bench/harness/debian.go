package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// noStart is asked by Debian's maintainer scripts before they start a service; 101 is
// "no" (invoke-rc.d(8)).
const (
	noStartPath = "/usr/sbin/policy-rc.d"
	noStart     = "#!/bin/sh\nexit 101\n"
)

// Install installs those Debian packages that are missing, without starting their
// services, and says before which. What cannot be installed is printed: the cases that
// need it are absent. Nothing is installed unless wanted, where there is no apt-get,
// and by anyone but root.
func Install(ctx context.Context, packages []string, wanted bool, print func(format string, args ...any)) error {
	missing := missingOf(packages)
	if len(missing) == 0 {
		return nil
	}
	if why := notInstalling(wanted); why != "" {
		print("not installed (%s): %s\nWhat needs them is absent.\n", why, strings.Join(missing, " "))
		return nil
	}
	print("apt-get installs (-install=false does not): %s\n", strings.Join(missing, " "))
	allow, err := forbidStarts()
	if err != nil {
		return err
	}
	if err := apt(ctx, missing); err != nil {
		print("%v\n", err)
	}
	return allow()
}

// notInstalling says why nothing is installed, or "".
func notInstalling(wanted bool) string {
	_, err := exec.LookPath("apt-get")
	switch {
	case !wanted:
		return "-install=false"
	case err != nil:
		return "no apt-get"
	case os.Geteuid() != 0:
		return "not root"
	default:
		return ""
	}
}

// apt tries the lists of packages as they are first: they are usually there.
func apt(ctx context.Context, packages []string) error {
	args := append([]string{"install", "-y", "-q", "--no-install-recommends"}, packages...)
	if aptGet(ctx, args...) == nil {
		return nil
	}
	if err := aptGet(ctx, "update", "-q"); err != nil {
		return err
	}
	return aptGet(ctx, args...)
}

func aptGet(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
	}
	return nil
}

// forbidStarts keeps packages' services from being started, until the answered
// function is called. A policy that is there already is left alone.
func forbidStarts() (allow func() error, err error) {
	f, err := os.OpenFile(noStartPath, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if errors.Is(err, os.ErrExist) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString(noStart)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(noStartPath))
	}
	return func() error { return os.Remove(noStartPath) }, nil
}

func missingOf(packages []string) []string {
	var missing []string
	for _, p := range packages {
		if Installed(p) == "" {
			missing = append(missing, p)
		}
	}
	return missing
}

// Installed answers the version of an installed Debian package, or "".
func Installed(name string) string {
	status, version, _ := strings.Cut(said("dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", name), " ")
	if status != "installed" {
		return ""
	}
	return version
}

// Upstream answers the version of an installed package without Debian's additions.
func Upstream(name string) string {
	v := Installed(name)
	if _, after, ok := strings.Cut(v, ":"); ok {
		v = after
	}
	if i := strings.LastIndex(v, "-"); i > 0 {
		v = v[:i]
	}
	return v
}
