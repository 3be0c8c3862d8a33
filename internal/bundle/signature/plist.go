package signature

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"howett.net/plist"
)

const (
	maxPlist      = 8 << 20
	maxPlistDepth = 32
)

var errTooDeep = fmt.Errorf("more than %d levels", maxPlistDepth)

// parsePlist reads a property list in XML, with a dictionary at the top, that
// means one thing to every reader: no entities, no keys twice, no elements inside
// of strings, not the binary or the old form. The library, which bears all that
// and goes as deep as it is led, only sees what passed.
func parsePlist(data []byte) (map[string]any, error) {
	if len(data) > maxPlist {
		return nil, fmt.Errorf("property list: more than %d bytes", maxPlist)
	}
	if err := checkPlist(data); err != nil {
		return nil, fmt.Errorf("property list: %w", err)
	}
	var dict map[string]any
	if _, err := plist.Unmarshal(data, &dict); err != nil {
		return nil, fmt.Errorf("property list: %w", err)
	}
	return dict, nil
}

func checkPlist(data []byte) error {
	g := &plistGuard{d: xml.NewDecoder(bytes.NewReader(data))}
	for {
		t, err := g.d.Token()
		if err != nil {
			if errors.Is(err, io.EOF) && g.done && len(g.open) == 0 {
				return nil
			}
			return err
		}
		if err := g.token(t); err != nil {
			return fmt.Errorf("at byte %d: %w", g.d.InputOffset(), err)
		}
	}
}

// A container is an element with others in it.
type container struct {
	name     string
	keys     map[string]bool
	hasKey   bool // the next one is a key's value
	children int
}

type plistGuard struct {
	d    *xml.Decoder
	open []*container
	done bool
}

func (g *plistGuard) token(t xml.Token) error {
	switch t := t.(type) {
	case xml.StartElement:
		return g.start(t)
	case xml.EndElement:
		return g.end()
	case xml.CharData:
		if len(bytes.Trim(t, " \t\r\n")) != 0 {
			return errors.New("text between elements")
		}
	case xml.Directive:
		if s := string(t); !strings.HasPrefix(s, "DOCTYPE plist ") || strings.ContainsAny(s, "[]") || g.done || len(g.open) != 0 {
			return errors.New("a declaration that is not the usual one")
		}
	case xml.ProcInst:
		if t.Target != "xml" {
			return errors.New("a processing instruction")
		}
	}
	return nil
}

func (g *plistGuard) start(t xml.StartElement) error {
	name := t.Name.Local
	if t.Name.Space != "" || len(t.Attr) != 0 && name != "plist" {
		return fmt.Errorf("<%s> with attributes or a name space", name)
	}
	if len(g.open) == 0 {
		if name != "plist" || g.done {
			return fmt.Errorf("<%s> at the top", name)
		}
		g.open = append(g.open, &container{name: name})
		return nil
	}
	top := g.open[len(g.open)-1]
	if top.children++; top.name == "plist" && (name != "dict" || top.children > 1) {
		return fmt.Errorf("<%s>, not one <dict>, in <plist>", name)
	}
	if top.name == "dict" && name == "key" {
		return g.key(top, t)
	}
	if top.name == "dict" && !top.hasKey {
		return fmt.Errorf("<%s> without a key", name)
	}
	top.hasKey = false
	return g.value(t)
}

func (g *plistGuard) key(top *container, t xml.StartElement) error {
	text, err := g.scalar(t.Name.Local)
	if err != nil {
		return err
	}
	if top.hasKey || top.keys[text] {
		return fmt.Errorf("key %q twice, or after a key without a value", text)
	}
	top.keys[text], top.hasKey = true, true
	return nil
}

func (g *plistGuard) value(t xml.StartElement) error {
	switch name := t.Name.Local; name {
	case "dict", "array":
		if len(g.open) >= maxPlistDepth {
			return errTooDeep
		}
		g.open = append(g.open, &container{name: name, keys: map[string]bool{}})
		return nil
	case "string", "integer", "real", "date", "data":
		_, err := g.scalar(name)
		return err
	case "true", "false":
		text, err := g.scalar(name)
		if err == nil && text != "" {
			err = fmt.Errorf("text in <%s>", name)
		}
		return err
	default:
		return fmt.Errorf("<%s> is no value", name)
	}
}

// scalar reads to the element's end: text, and nothing else.
func (g *plistGuard) scalar(name string) (string, error) {
	var text strings.Builder
	for {
		t, err := g.d.Token()
		if err != nil {
			return "", err
		}
		switch t := t.(type) {
		case xml.CharData:
			text.Write(t)
		case xml.EndElement:
			return text.String(), nil
		default:
			return "", fmt.Errorf("something inside <%s> that is not text", name)
		}
	}
}

func (g *plistGuard) end() error {
	top := g.open[len(g.open)-1]
	g.open = g.open[:len(g.open)-1]
	switch {
	case top.hasKey:
		return errors.New("a key without a value")
	case top.name == "plist" && top.children != 1:
		return errors.New("an empty <plist>")
	}
	g.done = g.done || top.name == "plist"
	return nil
}
