package requirement

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Magics of blobs, and the one kind of requirement read here.
const (
	magic    = 0xfade0c00
	magicSet = 0xfade0c01
	kindExpr = 1
)

var errShort = errors.New("ends too early")

func encode(t *term) []byte {
	e := &encoder{}
	e.number(magic)
	e.number(0) // the length, below
	e.number(kindExpr)
	e.term(t)
	binary.BigEndian.PutUint32(e.out[4:], uint32(len(e.out)))
	return e.out
}

type encoder struct{ out []byte }

func (e *encoder) number(n uint32) { e.out = binary.BigEndian.AppendUint32(e.out, n) }

// data is padded with zeros to a multiple of four.
func (e *encoder) data(s string) {
	e.number(uint32(len(s)))
	e.out = append(e.out, s...)
	for len(e.out)%4 != 0 {
		e.out = append(e.out, 0)
	}
}

func (e *encoder) term(t *term) {
	e.number(uint32(t.op))
	operands, _ := t.op.operands()
	children := []*term{t.left, t.right}
	for _, o := range operands {
		switch o {
		case 'e':
			e.term(children[0])
			children = children[1:]
		case 's', 'n':
			e.number(uint32(t.slot))
		case 'w', 'h', 'o':
			e.data(t.data)
		case 'v':
			e.data(t.match.value)
		case 'm':
			e.match(t.match)
		}
	}
}

func (e *encoder) match(m match) {
	e.number(uint32(m.op))
	switch {
	case m.op.takesTime():
		e.out = binary.BigEndian.AppendUint64(e.out, uint64(m.when))
	case m.op.takesValue():
		e.data(m.value)
	}
}

func decode(blob []byte) (*term, error) {
	body, err := open(blob, magic)
	if err != nil {
		return nil, err
	}
	d := &decoder{rest: body}
	if kind := d.number(); kind != kindExpr && d.err == nil {
		return nil, fmt.Errorf("kind %d; %d is the only one known", kind, kindExpr)
	}
	t := d.term(1)
	if d.err == nil && len(d.rest) != 0 {
		d.err = fmt.Errorf("%d bytes after its end", len(d.rest))
	}
	return t, d.err
}

// open answers what follows the head of a blob that fills all of its bytes.
func open(blob []byte, want uint32) ([]byte, error) {
	if len(blob) > maxBinary {
		return nil, fmt.Errorf("more than %d bytes", maxBinary)
	}
	if len(blob) < 8 {
		return nil, errShort
	}
	if got := binary.BigEndian.Uint32(blob); got != want {
		return nil, fmt.Errorf("magic %#x, not %#x", got, want)
	}
	if n := binary.BigEndian.Uint32(blob[4:]); int64(n) != int64(len(blob)) {
		return nil, fmt.Errorf("says %d bytes, has %d", n, len(blob))
	}
	return blob[8:], nil
}

// A decoder keeps its first error and answers zeros from then on.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err, d.rest = err, nil
	}
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.fail(errShort)
		return nil
	}
	data := d.rest[:n]
	d.rest = d.rest[n:]
	return data
}

func (d *decoder) number() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) seconds() int64 {
	if b := d.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (d *decoder) data() string {
	n := uint64(d.number())
	data := d.take(n)
	if padding := d.take(-n & 3); len(bytes.Trim(padding, "\x00")) != 0 {
		d.fail(errors.New("padding that is not zero"))
	}
	return string(data)
}

func (d *decoder) term(depth int) *term {
	if depth > maxDepth {
		d.fail(errTooDeep)
		return nil
	}
	t := &term{op: opcode(d.number())}
	operands, ok := t.op.operands()
	if !ok {
		d.fail(fmt.Errorf("unknown operation %#x", uint32(t.op)))
	}
	for _, o := range operands {
		switch o {
		case 'e':
			child := d.term(depth + 1)
			if t.left == nil {
				t.left = child
			} else {
				t.right = child
			}
		case 's', 'n':
			t.slot = int32(d.number())
		case 'v':
			t.match = match{op: matchEqual, value: d.data()}
		case 'm':
			t.match = d.match()
		default:
			t.data = d.data()
		}
	}
	if d.err == nil {
		d.check(t, operands)
	}
	return t
}

// check refuses what no text could say.
func (d *decoder) check(t *term, operands string) {
	for _, o := range operands {
		switch {
		case o == 'w' && t.op == opCertField && !isSubjectKey(t.data):
			d.fail(fmt.Errorf("no certificate field is called %q", t.data))
		case o == 'w' && !isWord(t.data):
			d.fail(fmt.Errorf("no text can hold the word %q", t.data))
		case o == 'h' && len(t.data) != sha1Size:
			d.fail(fmt.Errorf("a digest of %d bytes", len(t.data)))
		case o == 'o' && oidArcs(t.data) == nil:
			d.fail(errOID)
		case o == 'n' && t.slot < 0, o == 's' && t.slot == -1<<31:
			d.fail(fmt.Errorf("the number %d", t.slot))
		}
	}
}

func (d *decoder) match() match {
	m := match{op: matchOp(d.number())}
	switch {
	case m.op.takesTime():
		m.when = d.seconds()
		if m.when < firstSecond || m.when > lastSecond {
			d.fail(errors.New("a time outside the years 0 to 9999"))
		}
	case m.op.takesValue():
		m.value = d.data()
	case m.op != matchExists && m.op != matchAbsent:
		d.fail(fmt.Errorf("unknown comparison %d", m.op))
	}
	return m
}
