package launchd

import (
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"howett.net/plist"
)

// manKeys are the keys of launchd.plist(5), a dot before those of a dictionary
// in it. Those that the page itself tells to avoid are in avoidKeys.
func manKeys() []string {
	return strings.Fields(`
Label UserName GroupName LimitLoadToHardware LimitLoadFromHardware LimitLoadToSessionType Program
ProgramArguments EnableTransactions EnablePressuredExit RunAtLoad KeepAlive KeepAlive.SuccessfulExit
KeepAlive.Crashed RootDirectory WorkingDirectory EnvironmentVariables Umask ExitTimeOut ThrottleInterval
InitGroups QueueDirectories StartOnMount StartInterval StartCalendarInterval StandardInPath StandardOutPath
StandardErrorPath WaitForDebugger SoftResourceLimits HardResourceLimits Nice ProcessType AbandonProcessGroup
LowPriorityIO LowPriorityBackgroundIO MaterializeDatalessFiles LaunchOnlyOnce MachServices Sockets
Sockets.SockType Sockets.SockPassive Sockets.SockNodeName Sockets.SockServiceName Sockets.SockFamily
Sockets.SockProtocol Sockets.SockPathName Sockets.SecureSocketWithKey Sockets.SockPathOwner
Sockets.SockPathGroup Sockets.SockPathMode Sockets.Bonjour Sockets.MulticastGroup LaunchEvents
LegacyTimers AssociatedBundleIdentifiers`)
}

// avoidKeys are keys with the reason why a file of ours does not have them.
func avoidKeys() map[string]string {
	return map[string]string{
		"Disabled":                      "a job is loaded or it is not",
		"OnDemand":                      "replaced by KeepAlive",
		"ServiceIPC":                    "please remove",
		"TimeOut":                       "launchd ignores it",
		"Debug":                         "ignored",
		"HopefullyExitsLast":            "please remove",
		"HopefullyExitsFirst":           "please remove",
		"inetdCompatibility":            "of inetd",
		"EnableGlobbing":                "deprecated",
		"LimitLoadToHosts":              "not supported",
		"LimitLoadFromHosts":            "not supported",
		"BundleProgram":                 "only for plists that SMAppService installs",
		"SessionCreate":                 "takes the agent out of its login",
		"WatchPaths":                    "race-prone and lossy",
		"KeepAlive.PathState":           "race-prone and lossy",
		"KeepAlive.OtherJobEnabled":     "highly discouraged",
		"KeepAlive.NetworkState":        "launchd ignores it",
		"MachServices.ResetAtClose":     "not compatible with xpc(3)",
		"MachServices.HideUntilCheckIn": "not compatible with xpc(3)",
		"ThrottleInterval":              "unset: docs/decisions say why",
		"EnableTransactions":            "an idle job would be killed without a goodbye",
	}
}

// every reads all files, the optional ones too.
func every(t *testing.T) map[string]map[string]any {
	t.Helper()
	found := map[string]map[string]any{}
	for prefix, files := range map[string]fs.FS{"": Files(), "Optional/": Optional()} {
		names, err := fs.Glob(files, "*/*")
		if err != nil || len(names) == 0 {
			t.Fatal(names, err)
		}
		for _, name := range names {
			data, err := fs.ReadFile(files, name)
			if err != nil {
				t.Fatal(err)
			}
			var v map[string]any
			if format, err := plist.Unmarshal(data, &v); err != nil || format != plist.XMLFormat {
				t.Fatalf("%s: format %d, %v", name, format, err)
			}
			found[prefix+name] = v
		}
	}
	return found
}

// Rule: every key is one of launchd.plist(5), for launchd ignores others without
// a word, and none is one that the page or a decision of ours tells to avoid.
func TestKeysOfTheManual(t *testing.T) {
	for name, top := range every(t) {
		for _, key := range keysOf(top) {
			if why, avoid := avoidKeys()[key]; avoid {
				t.Errorf("%s: key %s: %s", name, key, why)
			} else if !slices.Contains(manKeys(), key) {
				t.Errorf("%s: key %s is not one of launchd.plist(5)", name, key)
			}
		}
	}
	odd := map[string]any{"Labell": "x", "KeepAlive": map[string]any{"PathState": true}, "Sockets": map[string]any{"a": map[string]any{"SockTyp": "x"}}}
	if got, want := keysOf(odd), []string{"KeepAlive", "KeepAlive.PathState", "Labell", "Sockets", "Sockets.SockTyp"}; !slices.Equal(got, want) {
		t.Errorf("this test sees %q, want %q", got, want)
	}
}

// keysOf names a file's keys. Names below MachServices, Sockets and
// EnvironmentVariables are ours.
func keysOf(top map[string]any) (all []string) {
	for key, v := range top {
		all = append(all, key)
		in, _ := v.(map[string]any)
		switch key {
		case "KeepAlive":
			all = append(all, under(key, in)...)
		case "MachServices", "Sockets":
			for _, one := range in {
				one, _ := one.(map[string]any)
				all = append(all, under(key, one)...)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func under(key string, in map[string]any) (all []string) {
	for k := range maps.Keys(in) {
		all = append(all, key+"."+k)
	}
	return all
}

// Rule: the agent of the login window is the agent, in that session type only,
// and nobody who installs or packs the product's files gets it by accident.
func TestLoginAgent(t *testing.T) {
	found := every(t)
	name := "LaunchAgents/" + LoginAgent + ".plist"
	got, agent := found["Optional/"+name], found["LaunchAgents/"+GUIAgent+".plist"]
	if _, there := found[name]; there || got == nil {
		t.Fatal("it is where every installation takes its files from, or nowhere")
	}
	if got["Label"] != LoginAgent || got["LimitLoadToSessionType"] != "LoginWindow" {
		t.Errorf("Label %v, session %v", got["Label"], got["LimitLoadToSessionType"])
	}
	want := maps.Clone(agent)
	want["Label"], want["LimitLoadToSessionType"] = got["Label"], got["LimitLoadToSessionType"]
	a, _ := plist.Marshal(got, plist.XMLFormat)
	b, _ := plist.Marshal(want, plist.XMLFormat)
	if string(a) != string(b) {
		t.Errorf("otherwise it is not the agent:\n%s\n%s", a, b)
	}
}
