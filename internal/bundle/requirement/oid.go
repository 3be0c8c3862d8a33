package requirement

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// maxArc is the largest number in an OID that encoding/asn1 reads.
const maxArc = math.MaxInt32

var errOID = errors.New("not an object identifier")

// oidDER answers the DER contents, without tag and length, of a dotted OID.
func oidDER(dotted string) (string, error) {
	var arcs []uint64
	for _, word := range strings.Split(dotted, ".") {
		n, err := strconv.ParseUint(word, 10, 32)
		if err != nil || n > maxArc {
			return "", errOID
		}
		arcs = append(arcs, n)
	}
	if len(arcs) < 2 || arcs[0] > 2 || arcs[0] < 2 && arcs[1] > 39 || arcs[1] > maxArc-80 {
		return "", errOID
	}
	der := appendArc(nil, arcs[0]*40+arcs[1])
	for _, arc := range arcs[2:] {
		der = appendArc(der, arc)
	}
	return string(der), nil
}

func appendArc(der []byte, arc uint64) []byte {
	shift := 0
	for arc>>shift >= 0x80 {
		shift += 7
	}
	for ; shift > 0; shift -= 7 {
		der = append(der, byte(arc>>shift)|0x80)
	}
	return append(der, byte(arc)&0x7f)
}

// oidArcs reads DER contents, or answers nil if they are not in their one form.
func oidArcs(der string) []uint64 {
	var arcs []uint64
	arc, inside := uint64(0), false
	for i := range len(der) {
		c := der[i]
		if !inside && c == 0x80 {
			return nil
		}
		arc, inside = arc<<7|uint64(c&0x7f), c&0x80 != 0
		if arc > maxArc {
			return nil
		}
		if !inside {
			arcs, arc = append(arcs, arc), 0
		}
	}
	if inside || len(arcs) == 0 {
		return nil
	}
	first := min(arcs[0]/40, 2)
	return append([]uint64{first, arcs[0] - 40*first}, arcs[1:]...)
}

func oidText(der string) string {
	var words []string
	for _, arc := range oidArcs(der) {
		words = append(words, strconv.FormatUint(arc, 10))
	}
	return strings.Join(words, ".")
}
