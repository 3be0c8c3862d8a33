package jobs

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

const base = "<key>Label</key><string>a.b</string><key>Program</key><string>/bin/x</string>"

// What is malformed is an error that names the file and the key.
func TestParseSpecRefuses(t *testing.T) {
	deep := xml("<key>Sockets</key>" + strings.Repeat("<array>", 20000))
	for key, doc := range map[string]string{
		"":                            "nonsense",
		"Label":                       xml("<key>Program</key><string>/x</string>"),
		"Label ":                      xml("<key>Label</key><string>a/b</string>"),
		"Program":                     xml("<key>Label</key><string>a</string>"),
		"Program ":                    xml("<key>Label</key><string>a</string><key>Program</key><string>x</string>"),
		"ProgramArguments":            xml("<key>Label</key><string>a</string><key>ProgramArguments</key><array><string>sh</string></array>"),
		"ProgramArguments ":           xml(base + "<key>ProgramArguments</key><array/>"),
		"ProgramArguments  ":          xml(base + "<key>ProgramArguments</key><array><integer>1</integer></array>"),
		"Disabled":                    xml(base + "<key>Disabled</key><false/>"),
		"Unknown":                     xml(base + "<key>Unknown</key><true/>"),
		"StartInterval":               xml(base + "<key>StartInterval</key><integer>0</integer>"),
		"StartInterval ":              xml(base + "<key>StartInterval</key><integer>-1</integer>"),
		"StartInterval  ":             xml(base + "<key>StartInterval</key><real>1.5</real>"),
		"StartInterval   ":            xml(base + "<key>StartInterval</key><string>30</string>"),
		"StartInterval    ":           xml(base + "<key>StartInterval</key><integer>4294967296</integer>"),
		"StartCalendarInterval":       xml(base + "<key>StartCalendarInterval</key><dict/>"),
		"RunAtLoad":                   xml(base + "<key>RunAtLoad</key><string>yes</string>"),
		"ExitTimeOut":                 xml(base + "<key>ExitTimeOut</key><integer>-1</integer>"),
		"ThrottleInterval":            xml(base + "<key>ThrottleInterval</key><real>1.5</real>"),
		"KeepAlive":                   xml(base + "<key>KeepAlive</key><dict/>"),
		"KeepAlive.OtherJobEnabled":   xml(base + "<key>KeepAlive</key><dict><key>OtherJobEnabled</key><dict/></dict>"),
		"KeepAlive.SuccessfulExit":    xml(base + "<key>KeepAlive</key><dict><key>SuccessfulExit</key><integer>1</integer></dict>"),
		"KeepAlive.PathState.rel":     xml(base + "<key>KeepAlive</key><dict><key>PathState</key><dict><key>rel</key><true/></dict></dict>"),
		"MachServices.a":              xml(base + "<key>MachServices</key><dict><key>a</key><dict><key>ResetAtClose</key><true/></dict></dict>"),
		"MachServices.a ":             xml(base + "<key>MachServices</key><dict><key>a</key><false/></dict>"),
		"MachServices.../a":           xml(base + "<key>MachServices</key><dict><key>../a</key><true/></dict>"),
		"MachServices.a:b":            xml(base + "<key>MachServices</key><dict><key>a:b</key><true/></dict>"),
		"Sockets.v.SockServiceName":   xml(base + "<key>Sockets</key><dict><key>v</key><dict/></dict>"),
		"Sockets.v.SockType":          xml(base + "<key>Sockets</key><dict><key>v</key><dict><key>SockType</key><string>dgram</string></dict></dict>"),
		"Sockets.v.SockPathName":      xml(base + "<key>Sockets</key><dict><key>v</key><dict><key>SockPathName</key><string>/s</string></dict></dict>"),
		"Sockets.v":                   xml(base + "<key>Sockets</key><dict><key>v</key><array/></dict>"),
		"Sockets.both":                xml(base + "<key>MachServices</key><dict><key>both</key><true/></dict><key>Sockets</key><dict><key>both</key><dict><key>SockServiceName</key><integer>1</integer></dict></dict>"),
		"EnvironmentVariables.A=B":    xml(base + "<key>EnvironmentVariables</key><dict><key>A=B</key><string>c</string></dict>"),
		"EnvironmentVariables.A":      xml(base + "<key>EnvironmentVariables</key><dict><key>A</key><integer>1</integer></dict>"),
		"LimitLoadToSessionType":      xml(base + "<key>LimitLoadToSessionType</key><string>Everywhere</string>"),
		"LimitLoadToSessionType ":     xml(base + "<key>LimitLoadToSessionType</key><array/>"),
		"WatchPaths":                  xml(base + "<key>WatchPaths</key><array><string>here</string></array>"),
		"Umask":                       xml(base + "<key>Umask</key><string>rwx</string>"),
		"Umask ":                      xml(base + "<key>Umask</key><integer>512</integer>"),
		"ProcessType":                 xml(base + "<key>ProcessType</key><string>Fast</string>"),
		"AssociatedBundleIdentifiers": xml(base + "<key>AssociatedBundleIdentifiers</key><true/>"),
		"StandardErrorPath":           xml(base + "<key>StandardErrorPath</key><string></string>"),
		" ":                           "bplist00" + strings.Repeat("\x00", 40),
		"  ":                          `{ Label = a; Program = "/x"; }`,
		"   ":                         `<?xml version="1.0"?><plist><array/></plist>`,
		"    ":                        deep,
		"     ":                       strings.Repeat(" ", maxSpec+1),
	} {
		_, err := ParseSpec("some.plist", []byte(doc))
		var bad *SpecError
		if !errors.As(err, &bad) || !errors.Is(err, ErrBadSpec) {
			t.Errorf("%q: error %v", key, err)
			continue
		}
		if key = strings.TrimSpace(key); bad.Key != key || bad.File != "some.plist" {
			t.Errorf("error %v is about %q, want %q", err, bad.Key, key)
		}
	}
}

// Every key there is arrives.
func TestParseSpec(t *testing.T) {
	s, err := ParseSpec("p", []byte(xml(base+`
<key>ProgramArguments</key><array><string>x</string><string>-v</string></array>
<key>MachServices</key><dict><key>z</key><true/><key>y</key><true/></dict>
<key>Sockets</key><dict><key>v</key><dict><key>SockNodeName</key><string>::1</string><key>SockServiceName</key><string>8443</string>
 <key>SockType</key><string>stream</string><key>SockFamily</key><string>IPv6</string><key>SockProtocol</key><string>TCP</string><key>SockPassive</key><true/></dict></dict>
<key>RunAtLoad</key><true/>
<key>KeepAlive</key><dict><key>SuccessfulExit</key><false/><key>Crashed</key><true/><key>PathState</key><dict><key>/a</key><false/></dict></dict>
<key>WatchPaths</key><array><string>/w</string></array>
<key>StartInterval</key><integer>30</integer>
<key>ThrottleInterval</key><integer>3</integer><key>ExitTimeOut</key><integer>0</integer>
<key>LimitLoadToSessionType</key><array><string>Aqua</string><string>LoginWindow</string></array>
<key>EnvironmentVariables</key><dict><key>E</key><string></string></dict>
<key>StandardOutPath</key><string>/o</string><key>StandardErrorPath</key><string>/e</string><key>WorkingDirectory</key><string>/d</string>
<key>UserName</key><string>u</string><key>GroupName</key><string>g</string><key>Umask</key><integer>18</integer>
<key>AbandonProcessGroup</key><true/><key>ProcessType</key><string>Interactive</string><key>LowPriorityIO</key><true/>
<key>AssociatedBundleIdentifiers</key><string>com.x</string>`)))
	if err != nil {
		t.Fatal(err)
	}
	yes, no, mask := true, false, 18
	want := &Spec{
		File: "p", Label: "a.b", Program: "/bin/x", Arguments: []string{"x", "-v"}, MachServices: []string{"y", "z"},
		Sockets: []Socket{{"v", "::1", "8443", "IPv6"}}, RunAtLoad: true,
		KeepAlive:  KeepAlive{SuccessfulExit: &no, Crashed: &yes, PathState: map[string]bool{"/a": false}},
		WatchPaths: []string{"/w"}, StartInterval: 30 * time.Second, ThrottleInterval: 3 * time.Second, SessionTypes: []SessionType{Aqua, LoginWindow},
		Environment: map[string]string{"E": ""}, StandardOutPath: "/o", StandardErrorPath: "/e", WorkingDirectory: "/d",
		UserName: "u", GroupName: "g", Umask: &mask, AbandonProcessGroup: true, ProcessType: "Interactive", LowPriorityIO: true,
		AssociatedBundleIDs: []string{"com.x"},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
}

// What is not given has launchd's default.
func TestParseSpecDefaults(t *testing.T) {
	s, err := ParseSpec("p", []byte(xml(base)))
	if err != nil {
		t.Fatal(err)
	}
	if s.ExitTimeOut != 20*time.Second || s.ThrottleInterval != 0 || s.StartInterval != 0 || !reflect.DeepEqual(s.Arguments, []string{"/bin/x"}) ||
		!reflect.DeepEqual(s.SessionTypes, []SessionType{Aqua}) || s.KeepAlive.Any() || s.RunAtLoad {
		t.Errorf("%+v", s)
	}
}

func TestTarget(t *testing.T) {
	for _, c := range []struct {
		t              Target
		domain         Domain
		label, session string
		ok             bool
	}{
		{"system/a.b", System, "a.b", "", true},
		{"gui/1/a", "gui/1", "a", "1", true},
		{"gui/a", GUI, "a", "", true},
		{"", "", "", "", false},
		{"system/", System, "", "", false},
		{"a", "", "a", "", false},
		{"gui//a", "gui/", "a", "", false},
		{"gui/1/2/a", "gui/1/2", "a", "1/2", false},
		{"user/1/a", "user/1", "a", "", false},
		{"gui/../a", "gui/..", "a", "..", false},
		{"system/a b", System, "a b", "", false},
	} {
		if c.t.Domain() != c.domain || c.t.Label() != c.label || c.t.Session() != c.session || (c.t.Check() == nil) != c.ok {
			t.Errorf("%q: %q %q %q %v", c.t, c.t.Domain(), c.t.Label(), c.t.Session(), c.t.Check())
		}
	}
}

// No document makes the parser do anything but answer, and what it takes is
// complete.
func FuzzParseSpec(f *testing.F) {
	f.Add([]byte(xml(base)))
	f.Add([]byte(xml(base + "<key>KeepAlive</key><dict><key>PathState</key><dict><key>/a</key><true/></dict></dict>")))
	f.Add([]byte(xml(base + "<key>Sockets</key><dict><key>v</key><dict><key>SockServiceName</key><integer>1</integer></dict></dict>")))
	f.Add([]byte(xml(base + "<key>StartInterval</key><integer>30</integer>")))
	f.Add([]byte("{ a = (1, <00>); }"))
	f.Add([]byte("bplist00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseSpec("f", data)
		if err != nil {
			if !errors.Is(err, ErrBadSpec) {
				t.Fatal(err)
			}
			return
		}
		if checkName(s.Label) != nil || s.Program == "" || s.Program[0] != '/' || len(s.Arguments) == 0 || s.StartInterval < 0 {
			t.Fatalf("%+v", s)
		}
		s.mapped("/bin", "/root")
	})
}
