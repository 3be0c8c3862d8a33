// Package macostest knows how to build the library that stands in for Apple's
// in tests on other systems, and how to ask whether a test left something in it.
// It must never know what the library is used for.
//
// Tests that want it have the build constraint "standin" or, where they are
// right on a Mac too, "darwin || standin", and a TestMain in a file for standin
// alone: func TestMain(m *testing.M) { os.Exit(macostest.Run(m)) }.
package macostest
