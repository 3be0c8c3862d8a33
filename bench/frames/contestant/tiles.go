//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
	"net"
	"net/http"

	"github.com/coder/websocket"

	"portward/internal/surface"
	"portward/internal/viewer"
)

// jpegPage draws each tile as its picture is decoded, and then says so.
const jpegPage = `<!doctype html><meta charset=utf-8><canvas id=screen-1 width=1920 height=1080 data-seq=0></canvas><script>
const canvas = document.getElementById("screen-1"), context = canvas.getContext("2d", { alpha: false });
const socket = new WebSocket("wss://" + location.host + "/ws");
socket.binaryType = "arraybuffer";
socket.onmessage = async (e) => {
	const view = new DataView(e.data), tiles = [];
	for (let at = 4; at < e.data.byteLength; ) {
		const x = view.getUint16(at, true), y = view.getUint16(at + 2, true), size = view.getUint32(at + 4, true);
		const blob = new Blob([new Uint8Array(e.data, at + 8, size)], { type: "image/jpeg" });
		tiles.push(createImageBitmap(blob).then((b) => { context.drawImage(b, x, y); b.close(); }));
		at += 8 + size;
	}
	await Promise.all(tiles);
	canvas.dataset.seq = view.getUint32(0, true);
};
</script>`

// tiles is the usual way: each tile of 64x64 that changed is a JPEG picture; all of
// them go in one message.
func tiles(ctx context.Context, dir string, l net.Listener, drawn chan<- uint32) (shower, string, error) {
	cert, _, err := viewer.LoadOrCreateIdentity(dir)
	if err != nil {
		return nil, "", err
	}
	sockets := make(chan *websocket.Conn, 1)
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ws" {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, jpegPage)
			return
		}
		if c, err := websocket.Accept(w, r, nil); err == nil {
			sockets <- c
			<-c.CloseRead(ctx).Done()
		}
	})
	go serveTLS(l, cert, hearing(page, drawn))
	img := image.NewRGBA(image.Rect(0, 0, screenWidth, screenHeight))
	var c *websocket.Conn
	var seq uint32
	show := func() (uint32, error) {
		if c == nil {
			c = <-sockets
		}
		seq++
		r := spot(seq)
		paint(img.Pix, img.Stride, r, seq)
		b, err := jpegs(img, r, seq)
		if err != nil {
			return 0, err
		}
		return seq, c.Write(ctx, websocket.MessageBinary, b)
	}
	go show() // the first, which the page waits for
	return show, "https://" + l.Addr().String() + "/", nil
}

// jpegs is the message of one change.
func jpegs(img *image.RGBA, r surface.Rect, seq uint32) ([]byte, error) {
	var b bytes.Buffer
	b.Write(binary.LittleEndian.AppendUint32(nil, seq))
	for y := r.Y; y < r.Y+r.H; y += tile {
		for x := r.X; x < r.X+r.W; x += tile {
			var one bytes.Buffer
			if err := jpeg.Encode(&one, img.SubImage(image.Rect(x, y, x+tile, y+tile)), &jpeg.Options{Quality: 75}); err != nil {
				return nil, err
			}
			head := binary.LittleEndian.AppendUint16(nil, uint16(x))
			head = binary.LittleEndian.AppendUint16(head, uint16(y))
			b.Write(binary.LittleEndian.AppendUint32(head, uint32(one.Len())))
			b.Write(one.Bytes())
		}
	}
	return b.Bytes(), nil
}
