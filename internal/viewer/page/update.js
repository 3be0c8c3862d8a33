// A binary update: its layout is documented in package hub (update.go).

const headerSize = 20;

// readUpdate answers the update in an ArrayBuffer, its pixels decoded.
export function readUpdate(buffer) {
  if (buffer.byteLength < headerSize) throw new Error("short update");
  const v = new DataView(buffer);
  if (v.getUint8(0) !== 1 || v.getUint8(1) !== 1) throw new Error("unknown update");
  const short = (at) => v.getUint16(at, true);
  const u = {
    index: short(2), seq: v.getUint32(4, true),
    x: short(8), y: short(10), w: short(12), h: short(14),
    width: short(16), height: short(18),
  };
  if (!u.w || !u.h || u.x + u.w > u.width || u.y + u.h > u.height) throw new Error("rectangle outside the picture");
  u.pixels = unsnap(new Uint8Array(buffer, headerSize), u.w * u.h * 4);
  return u;
}

// unsnap decodes a Snappy block that must hold exactly size bytes
// (github.com/google/snappy, format_description.txt).
export function unsnap(from, size) {
  let at = 0;
  const number = (bytes) => {
    if (at + bytes > from.length) throw new Error("truncated block");
    let n = 0;
    for (let i = 0; i < bytes; i++) n += from[at++] * 2 ** (8 * i);
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
        out.set(from.subarray(at, at + length), to);
        at += length;
        to += length;
        continue;
      case 1:
        length = ((tag >> 2) & 7) + 4;
        back = (tag >> 5) * 256 + number(1);
        break;
      case 2:
        back = number(2);
        break;
      default:
        back = number(4);
    }
    if (back === 0 || back > to || to + length > size) throw new Error("copy beyond the ends");
    if (back >= length) out.copyWithin(to, to - back, to - back + length);
    else for (let i = 0; i < length; i++) out[to + i] = out[to + i - back];
    to += length;
  }
  if (to !== size) throw new Error("block too short");
  return out;
}
