package program

import (
	"fmt"
	"os"
	"time"

	"go.uber.org/zap/zapcore"
)

// Log answers a program's log: JSON lines on stderr, by zapcore alone, since zap
// itself would link HTTP and TLS into a root process.
func Log(name string) func(format string, args ...any) {
	enc := zapcore.NewJSONEncoder(zapcore.EncoderConfig{
		TimeKey: "time", MessageKey: "msg", NameKey: "name",
		EncodeTime: zapcore.RFC3339NanoTimeEncoder,
		LineEnding: zapcore.DefaultLineEnding,
	})
	core := zapcore.NewCore(enc, zapcore.Lock(os.Stderr), zapcore.InfoLevel)
	return func(format string, args ...any) {
		e := zapcore.Entry{Level: zapcore.InfoLevel, Time: time.Now(), LoggerName: name, Message: fmt.Sprintf(format, args...)}
		core.Write(e, nil)
	}
}
