package supervise

import (
	"errors"
	"fmt"
	"time"
)

// limit is how long the child may stand still under systemd; monit knows only seconds.
const (
	limit      = 500 * time.Millisecond
	monitLimit = time.Second
)

// floor is fork, exec and wait in C, and nothing else.
func floor() peer {
	return peer{name: "floor in C", prepare: func(s *site) ([]string, error) {
		keeper, err := s.env.Floor("keeper")
		command := []string{keeper, s.child, s.bell.path}
		if s.mode == demand {
			command = append(command, s.socket())
		}
		return command, err
	}}
}

// script is a run script as the manuals of the daemontools family show it.
func script(s *site) string { return fmt.Sprintf("#!/bin/sh\nexec %s %s\n", s.child, s.bell.path) }

// family is a supervisor that watches a directory with a run script for each service.
func family(pkg string, programs []string, command ...string) peer {
	return peer{name: pkg, pkg: pkg, programs: programs, prepare: func(s *site) ([]string, error) {
		return append(command, s.path("services")), s.write("services/child/run", script(s), 0o755)
	}}
}

func runit() peer { return family("runit", []string{"runsvdir", "runsv"}, "runsvdir", "-P") }

// s6 is told when the child is ready: one that dies without having been is started a
// second later.
func s6() peer {
	p := family("s6", []string{"s6-svscan", "s6-supervise"}, "s6-svscan")
	p.prepare = func(s *site) ([]string, error) {
		run := fmt.Sprintf("#!/bin/sh\nexport READY_FD=3\nexec %s %s\n", s.child, s.bell.path)
		return []string{"s6-svscan", s.path("services")},
			errors.Join(s.write("services/child/run", run, 0o755), s.write("services/child/notification-fd", "3\n", 0o644))
	}
	return p
}

func daemontools() peer {
	return family("daemontools", []string{"svscan", "supervise"}, "svscan")
}

func supervisord() peer {
	return peer{name: "supervisor", pkg: "supervisor", programs: []string{"supervisord"}, prepare: func(s *site) ([]string, error) {
		// As its manual has it by default; startretries only keeps a long run alive.
		text := fmt.Sprintf(`[supervisord]
nodaemon=true
logfile=%[1]s/supervisor.log
pidfile=%[1]s/supervisor.pid
[program:child]
command=%[2]s %[3]s
autorestart=true
startsecs=1
startretries=1000
`, s.dir, s.child, s.bell.path)
		conf := s.path("supervisor.conf")
		return []string{"supervisord", "-n", "-c", conf}, s.write("supervisor.conf", text, 0o644)
	}}
}

// monit polls, once a second at most. What hangs it sees by the age of a file.
func monit() peer {
	return peer{name: "monit", pkg: "monit", programs: []string{"monit", "setsid"}, prepare: func(s *site) ([]string, error) {
		files := []struct {
			name, text string
		}{
			{"start", fmt.Sprintf("#!/bin/sh\nBEAT_FILE=%[1]s/beat setsid %[2]s %[3]s </dev/null >/dev/null 2>&1 &\necho $! >%[1]s/pid\n", s.dir, s.child, s.bell.path)},
			{"stop", fmt.Sprintf("#!/bin/sh\nkill -9 $(cat %s/pid)\n", s.dir)},
			{"restart", fmt.Sprintf("#!/bin/sh\n%[1]s/stop\nrm -f %[1]s/beat\nexec %[1]s/start\n", s.dir)},
			{"monitrc", monitrc(s)},
		}
		for _, f := range files {
			if err := s.write(f.name, f.text, 0o700); err != nil {
				return nil, err
			}
		}
		return []string{"monit", "-I", "-c", s.path("monitrc")}, nil
	}}
}

func monitrc(s *site) string {
	text := fmt.Sprintf(`set daemon 1
set pidfile %[1]s/monit.pid
set idfile %[1]s/monit.id
set statefile %[1]s/monit.state
set logfile %[1]s/monit.log
check process child with pidfile %[1]s/pid
  start program = "%[1]s/start"
  stop program = "%[1]s/stop"
`, s.dir)
	if s.mode == watchd {
		text += fmt.Sprintf("check file beat with path %[1]s/beat\n  if timestamp > %[2]d second then exec \"%[1]s/restart\"\n", s.dir, monitLimit/time.Second)
	}
	return text
}
