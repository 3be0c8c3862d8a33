//go:build darwin && cgo

package main

import (
	"context"
	"os"
	"reflect"
	"runtime"
	"time"

	"github.com/progrium/darwinkit/dispatch"
	"github.com/progrium/darwinkit/macos/appkit"
	"github.com/progrium/darwinkit/macos/foundation"
	"github.com/progrium/darwinkit/objc"
)

// menuEvery is how often the item is compared with what is to be shown.
const menuEvery = time.Second

// AppKit belongs to the process's first thread. Variables are set up on it,
// before main; later the main goroutine could be on any other.
var _ = lockFirstThread()

func lockFirstThread() bool {
	runtime.LockOSThread()
	return true
}

// withMenu runs serve, and meanwhile shows what look sees as an item of the menu
// bar (AppKit/NSStatusItem.h, macOS 10.0). It is called by the main goroutine,
// which runs AppKit's loop until serve has returned; serve never waits for it.
//
// Root has no menu bar: it is the agent of the login window.
func withMenu(ctx context.Context, look func() scene, serve func(context.Context) (int, error)) (int, error) {
	if os.Geteuid() == 0 {
		return serve(ctx)
	}
	var (
		app  appkit.Application
		item menuItem
		code int
		err  error
	)
	objc.WithAutoreleasePool(func() {
		app = appkit.Application_SharedApplication()
		app.SetActivationPolicy(appkit.ApplicationActivationPolicyAccessory)
		item = newMenuItem()
	})
	served := make(chan struct{})
	go func() {
		defer dispatch.MainQueue().DispatchAsync(func() { stopApp(app) })
		defer close(served)
		code, err = serve(ctx)
	}()
	go item.follow(look, served)
	app.Run()
	<-served
	return code, err
}

// stopApp ends app.Run, which looks whether it is to end after each event: so one
// is made up.
func stopApp(app appkit.Application) {
	app.Stop(nil)
	app.PostEventAtStart(appkit.Event_OtherEventWithTypeLocationModifierFlagsTimestampWindowNumberContextSubtypeData1Data2(
		appkit.EventTypeApplicationDefined, foundation.Point{}, 0, 0, 0, nil, 0, 0, 0), true)
}

// A menuItem is in the menu bar as long as the process lives.
type menuItem struct {
	item appkit.StatusItem
	menu appkit.Menu
}

// newMenuItem is for the first thread.
func newMenuItem() menuItem {
	m := menuItem{
		item: appkit.StatusBar_SystemStatusBar().StatusItemWithLength(appkit.VariableStatusItemLength),
		menu: appkit.NewMenu(),
	}
	m.item.Retain() // the status bar does not
	m.item.SetMenu(m.menu)
	m.menu.Retain()
	return m
}

// follow has the first thread show what look sees, when that changes.
func (m menuItem) follow(look func() scene, served <-chan struct{}) {
	tick := time.NewTicker(menuEvery)
	defer tick.Stop()
	var shown face
	for {
		if now := look().face(); !reflect.DeepEqual(now, shown) {
			shown = now
			dispatch.MainQueue().DispatchAsync(func() { m.show(now) })
		}
		select {
		case <-tick.C:
		case <-served:
			return
		}
	}
}

// show is for the first thread. A line without an action cannot be chosen.
func (m menuItem) show(f face) {
	button := m.item.Button()
	button.SetTitle(f.title)
	button.SetToolTip(f.tooltip)
	m.menu.RemoveAllItems()
	for _, text := range f.lines {
		line := appkit.NewMenuItem()
		line.SetTitle(text)
		m.menu.AddItem(line)
	}
}
