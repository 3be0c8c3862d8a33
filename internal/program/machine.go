package program

import (
	"crypto/rand"
	"os"

	"portward/internal/durable"
)

// MachineID answers the random id in the file at path, which it makes once. It
// decides nothing but a machine's turn in rollouts.
func MachineID(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil && len(b) >= 26 {
		return string(b), nil
	}
	id := rand.Text()
	return id, durable.Write(path, []byte(id), 0o600)
}
