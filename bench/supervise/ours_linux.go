package supervise

import (
	"fmt"
)

// portward is its embedded job engine alone, in a small program, with a job written as
// one writes it for launchd.
func portward() peer {
	return peer{name: "portward", prepare: func(s *site) ([]string, error) {
		engine, err := s.env.Program("supervise/engine")
		if err != nil {
			return nil, err
		}
		return []string{engine, s.path("job.plist"), s.dir}, s.write("job.plist", plist(s), 0o644)
	}}
}

func plist(s *site) string {
	when := "<key>KeepAlive</key><true/>"
	if s.mode == demand {
		when = "<key>MachServices</key><dict><key>demand</key><true/></dict>" +
			"<key>EnvironmentVariables</key><dict><key>BENCH_SERVES</key><string>1</string></dict>"
	}
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
<key>Label</key><string>dev.portward.bench</string>
<key>ProgramArguments</key><array><string>%s</string><string>%s</string></array>
%s
</dict></plist>
`, s.child, s.bell.path, when)
}
