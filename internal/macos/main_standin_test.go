//go:build standin && !darwin

package macos_test

import (
	"os"
	"testing"

	"portward/internal/macos/macostest"
)

func TestMain(m *testing.M) { os.Exit(macostest.Run(m)) }
