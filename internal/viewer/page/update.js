// A binary update: its layout is documented in package hub (update.go).

const headerSize = 14;
const rectSize = 8;

// readUpdate answers the update in an ArrayBuffer, the pixels of each of its
// rectangles decoded.
export function readUpdate(buffer) {
  if (buffer.byteLength < headerSize) throw new Error("short update");
  const v = new DataView(buffer);
  if (v.getUint8(0) !== 1 || v.getUint8(1) !== 1) throw new Error("unknown update");
  const short = (at) => v.getUint16(at, true);
  const u = {
    index: short(2), seq: v.getUint32(4, true),
    width: short(8), height: short(10),
    bytes: buffer.byteLength, rects: [],
  };
  const body = headerSize + rectSize * short(12);
  if (body === headerSize || buffer.byteLength < body) throw new Error("no rectangles");
  for (let at = headerSize; at < body; at += rectSize) {
    u.rects.push(readRect({ x: short(at), y: short(at + 2), w: short(at + 4), h: short(at + 6) }, u));
  }
  share(u, new Uint8Array(buffer, body));
  return u;
}

function readRect(r, picture) {
  if (!r.w || !r.h || r.x + r.w > picture.width || r.y + r.h > picture.height) throw new Error("rectangle outside the picture");
  return r;
}

// share decodes the block and gives each rectangle its part of it.
function share(u, block) {
  const size = (r) => r.w * r.h * 4;
  const total = u.rects.reduce((n, r) => n + size(r), 0);
  if (total > u.width * u.height * 4) throw new Error("more pixels than the picture has");
  const pixels = unsnap(block, total);
  let at = 0;
  for (const r of u.rects) r.pixels = pixels.subarray(at, (at += size(r)));
}

// unsnap decodes a Snappy block that must hold exactly size bytes
// (github.com/google/snappy, format_description.txt).
export function unsnap(from, size) {
  let at = 0;
  const number = (bytes) => {
    if (at + bytes > from.length) throw new Error("truncated block");
    let n = 0;
    for (let i = bytes; i > 0; ) n = n * 256 + from[at + --i];
    at += bytes;
    return n;
  };
  let told = 0;
  for (let shift = 0, more = true; more; shift += 7) {
    const b = number(1);
    told += (b & 127) * 2 ** shift;
    more = b > 127 && shift < 28;
  }
  if (told !== size) throw new Error("block of another size");

  const out = new Uint8ClampedArray(size);
  let to = 0;
  while (at < from.length) {
    const tag = from[at++];
    let length = (tag >> 2) + 1;
    let back = 0;
    switch (tag & 3) {
      case 0:
        if (length > 60) length = number(length - 60) + 1;
        if (at + length > from.length || to + length > size) throw new Error("literal beyond the end");
        if (length < worthCalling) for (let i = 0; i < length; i++) out[to + i] = from[at + i];
        else out.set(from.subarray(at, at + length), to);
        at += length;
        to += length;
        continue;
      case 1:
        length = ((tag >> 2) & 7) + 4;
        back = (tag >> 5) * 256 + number(1);
        break;
      case 2:
        back = number(2);
        // A long match comes as many of these: they are one.
        while (at + 3 <= from.length && (from[at] & 3) === 2 && from[at + 1] + from[at + 2] * 256 === back) {
          length += (from[at] >> 2) + 1;
          at += 3;
        }
        break;
      default:
        back = number(4);
    }
    if (back === 0 || back > to || to + length > size) throw new Error("copy beyond the ends");
    repeat(out, to, back, length);
    to += length;
  }
  if (to !== size) throw new Error("block too short");
  return out;
}

const worthCalling = 24; // bytes, from which a call is quicker than a loop

// repeat writes length bytes, each as it is back bytes before it. Where the two
// ends overlap, each round has twice as much to copy from.
function repeat(out, to, back, length) {
  if (length < worthCalling) {
    for (let i = to; i < to + length; i++) out[i] = out[i - back];
    return;
  }
  const start = to - back;
  const end = to + length;
  while (to < end) {
    const n = Math.min(to - start, end - to);
    out.copyWithin(to, start, start + n);
    to += n;
  }
}
