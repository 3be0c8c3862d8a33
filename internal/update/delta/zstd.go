package delta

import (
	"errors"
	"fmt"
	"io"
	"math/bits"

	"github.com/klauspost/compress/zstd"
)

// zstdDict is zstd with the old bytes as a raw dictionary: a patch is one frame
// whose matches may reach into them.
type zstdDict struct{}

// dictID marks our frames, so that a patch is not taken for a plain blob.
const dictID = 1

// Bounds of a window, which must reach from the end of the new bytes to the
// beginning of the old ones where it can.
const (
	minWindow = 1 << 16
	maxWindow = 1 << 29 // the encoder's most
)

func (zstdDict) Name() string { return "zstd-dict" }

func (zstdDict) Diff(old, new []byte) ([]byte, error) {
	if len(old) > MaxSize || len(new) > MaxSize {
		return nil, fmt.Errorf("%w: %d and %d bytes", ErrTooLarge, len(old), len(new))
	}
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderLevel(zstd.SpeedBestCompression),
		zstd.WithZeroFrames(true),
		zstd.WithWindowSize(window(len(old), len(new))),
		zstd.WithEncoderDictRaw(dictID, old))
	if err != nil {
		return nil, err
	}
	defer enc.Close()
	return enc.EncodeAll(new, nil), nil
}

// Patch decodes in one go: unlike a stream, that needs no window beside the new
// bytes themselves.
func (zstdDict) Patch(old []byte, patch io.Reader, to io.Writer, limit int64) error {
	if len(old) > MaxSize || limit < 0 || limit > MaxSize {
		return fmt.Errorf("%w: %d and %d bytes", ErrTooLarge, len(old), limit)
	}
	frame, err := io.ReadAll(io.LimitReader(patch, MaxSize+1))
	if err != nil {
		return err
	}
	dec, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxWindow(uint64(window(len(old), int(limit)))),
		zstd.WithDecoderDictRaw(dictID, old))
	if err != nil {
		return err
	}
	defer dec.Close()
	new, err := dec.DecodeAll(frame, make([]byte, 0, limit))
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return fmt.Errorf("%w: %d are allowed", ErrLimit, limit)
	}
	if err != nil {
		return err
	}
	_, err = to.Write(new)
	return err
}

// window is the least power of two that spans both.
func window(old, new int) int {
	n := max(old+new, minWindow)
	return min(1<<bits.Len(uint(n-1)), maxWindow)
}
