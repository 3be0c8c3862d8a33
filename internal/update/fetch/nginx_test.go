package fetch

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"portward/internal/update/pipe"
)

// An nginx is Debian's, on this machine, with a repository and a certificate by
// an authority of its own.
type nginx struct {
	t     *testing.T
	dir   string // of the repository
	conf  string
	ca    string
	port  int
	child *exec.Cmd
}

// startNginx starts one; limit is nginx's limit_rate, empty for none.
func startNginx(t *testing.T, limit string) *nginx {
	t.Helper()
	if _, err := exec.LookPath("nginx"); err != nil {
		t.Skip("needs nginx, Debian's nginx-light")
	}
	top := t.TempDir()
	n := &nginx{t: t, dir: filepath.Join(top, "repo"), conf: filepath.Join(top, "conf"), ca: filepath.Join(top, "ca.pem"), port: freePort(t)}
	if err := os.Mkdir(n.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	certify(t, top)
	if limit != "" {
		limit = "limit_rate " + limit + ";"
	}
	write(t, top, "conf", fmt.Appendf(nil, `
daemon off; master_process off; pid %[1]s/pid; error_log stderr crit;
events { worker_connections 64; }
http {
  access_log off; %[3]s
  client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  server {
    listen 127.0.0.1:%[2]d ssl; root %[1]s/repo;
    ssl_certificate %[1]s/chain.pem; ssl_certificate_key %[1]s/key.pem;
    ssl_session_tickets on; ssl_session_ticket_key %[1]s/ticket.key;
  }
}`, top, n.port, limit))
	write(t, top, "ticket.key", noise(80, 1))
	n.start()
	t.Cleanup(n.kill)
	return n
}

// start waits until it answers.
func (n *nginx) start() {
	n.t.Helper()
	n.child = exec.Command("nginx", "-c", n.conf, "-p", filepath.Dir(n.conf), "-e", "stderr")
	n.child.Stderr = os.Stderr
	if err := n.child.Start(); err != nil {
		n.t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("tcp", n.addr()); err == nil {
			c.Close()
			return
		}
	}
	n.t.Fatal("nginx does not listen")
}

func (n *nginx) kill() {
	n.child.Process.Signal(syscall.SIGKILL)
	n.child.Wait()
}

func (n *nginx) addr() string { return fmt.Sprintf("127.0.0.1:%d", n.port) }

func (n *nginx) put(name string, data []byte) {
	n.t.Helper()
	p := filepath.Join(n.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(p, data, 0o644); err != nil {
		n.t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(p, old, old); err != nil {
		n.t.Fatal(err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// certify makes an authority, one between, and a server's certificate, like a
// public host's.
func certify(t *testing.T, dir string) {
	t.Helper()
	root, rootKey := certificate(t, "root", nil, nil)
	middle, middleKey := certificate(t, "middle", root, rootKey)
	leaf, leafKey := certificate(t, "127.0.0.1", middle, middleKey)
	key, err := x509.MarshalECPrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "ca.pem", pemOf(root.Raw))
	write(t, dir, "chain.pem", append(pemOf(leaf.Raw), pemOf(middle.Raw)...))
	write(t, dir, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key}))
}

func certificate(t *testing.T, name string, by *x509.Certificate, byKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: name != "127.0.0.1", BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	if !c.IsCA {
		c.IPAddresses = []net.IP{net.ParseIP(name)}
	}
	if by == nil {
		by, byKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, &key.PublicKey, byKey)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return parsed, key
}

// A meter stands before a server and counts what passes.
type meter struct {
	net.Listener
	down, up, connections atomic.Int64
	all                   sync.WaitGroup
	gate                  func(down int64) // after so many bytes have gone down
}

func meterTo(t *testing.T, addr string, gate ...func(down int64)) *meter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &meter{Listener: l, gate: func(int64) {}}
	for _, g := range gate {
		m.gate = g
	}
	m.all.Go(func() { m.serve(addr) })
	t.Cleanup(func() { l.Close(); m.all.Wait() })
	return m
}

func (m *meter) serve(addr string) {
	for {
		here, err := m.Accept()
		if err != nil {
			return
		}
		there, err := net.Dial("tcp", addr)
		if err != nil {
			here.Close()
			continue
		}
		m.connections.Add(1)
		for _, way := range []struct {
			to   io.Writer
			from io.Reader
		}{{counting{here, m.down.Add, m.gate}, there}, {counting{there, m.up.Add, func(int64) {}}, here}} {
			m.all.Go(func() {
				io.Copy(way.to, struct{ io.Reader }{way.from})
				here.Close()
				there.Close()
			})
		}
	}
}

type counting struct {
	io.Writer
	add  func(int64) int64
	gate func(int64)
}

func (c counting) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.gate(c.add(int64(n)))
	return n, err
}

func (m *meter) url() string { return "https://" + m.Addr().String() }

// Rule: a check that finds nothing new is one request, of at most 3,500 bytes
// down the first time ever and 2,000 with the ticket that an earlier process
// left.
func TestIdleCheck(t *testing.T) {
	n := startNginx(t, "")
	n.put(timestampName, []byte(`{"signed":{}}`))
	m := meterTo(t, n.addr())
	dir := t.TempDir()
	check := func(have string) (int64, error) {
		f := fetcher(t, m.url(), in(dir), func(c *Config, _ *limits) { c.CA = n.ca })
		before, connections := m.down.Load(), m.connections.Load()
		_, err := f.Get(timestampName, 1000, have)
		f.Close()
		if m.connections.Load() != connections+1 {
			t.Errorf("%d connections", m.connections.Load()-connections)
		}
		return m.down.Load() - before, err
	}
	same := hashOf([]byte(`{"signed":{}}`))
	cold, err := check(same)
	wantErr(t, err, pipe.ErrSame)
	for range 3 {
		warm, err := check(same)
		wantErr(t, err, pipe.ErrSame)
		if warm > 2000 {
			t.Errorf("%d bytes with a ticket", warm)
		}
		t.Logf("%d bytes with a ticket", warm)
	}
	os.Remove(filepath.Join(dir, ticketsFile))
	noTicket, err := check(same)
	wantErr(t, err, pipe.ErrSame)
	if cold > 3500 || noTicket > 3500 {
		t.Errorf("%d and %d bytes without a ticket", cold, noTicket)
	}
	t.Logf("%d bytes the first time, %d with an ETag and no ticket", cold, noTicket)
}

// Rule: a ticket is as secret as a session: nobody else reads it.
func TestTicketsAreSecret(t *testing.T) {
	n := startNginx(t, "")
	f := fetcher(t, "https://"+n.addr(), func(c *Config, _ *limits) { c.CA = n.ca })
	_, err := f.Get("x", 100, "")
	wantErr(t, err, pipe.ErrNotFound)
	info, err := os.Stat(filepath.Join(f.cache.root.Name(), ticketsFile))
	if err != nil || info.Mode() != 0o600 || info.Size() < 100 {
		t.Errorf("%v, %v", info, err)
	}
}

// Rule: an authority that is no longer trusted is not, whatever ticket is left
// of it.
func TestTicketOfAStranger(t *testing.T) {
	n, dir := startNginx(t, ""), t.TempDir()
	get := func(ca string) error {
		f := fetcher(t, "https://"+n.addr(), in(dir), func(c *Config, _ *limits) { c.CA = ca })
		_, err := f.Get("x", 100, "")
		f.Close()
		return err
	}
	wantErr(t, get(n.ca), pipe.ErrNotFound)
	other := t.TempDir()
	certify(t, other)
	err := get(filepath.Join(other, "ca.pem"))
	wantErr(t, err, pipe.ErrOffline)
	wantText(t, err, "certificate")
}

// Rule: a ticket that was spoilt costs a handshake, never a check.
func TestSpoiltTickets(t *testing.T) {
	n, dir := startNginx(t, ""), t.TempDir()
	check := func() {
		t.Helper()
		f := fetcher(t, "https://"+n.addr(), in(dir), func(c *Config, _ *limits) { c.CA = n.ca })
		_, err := f.Get("x", 100, "")
		f.Close()
		wantErr(t, err, pipe.ErrNotFound)
	}
	check()
	var good map[string]ticket
	if err := json.Unmarshal(readFileOf(t, dir, ticketsFile), &good); err != nil || len(good) != 1 {
		t.Fatalf("%v, %d tickets", err, len(good))
	}
	for key, ok := range good {
		for i := 0; i < len(ok.State); i += 1 + len(ok.State)/25 {
			spoilt, err := json.Marshal(map[string]ticket{key: {ok.Ticket, flip(ok.State, i)}})
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, ticketsFile, spoilt)
			check()
		}
		spoilt, _ := json.Marshal(map[string]ticket{key: {flip(ok.Ticket, 30), ok.State}})
		write(t, dir, ticketsFile, spoilt)
		check()
	}
}

func readFileOf(t *testing.T, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Rule: a server that is killed in the middle of a transfer, and comes back,
// costs nothing twice.
func TestServerKilled(t *testing.T) {
	n := startNginx(t, "16m")
	o := offerOn(t, n.put)
	content := noise(12<<20, 3)
	file := o.add(content, None)
	want := o.close()
	m := meterTo(t, n.addr())
	f := fetcher(t, m.url(), func(c *Config, l *limits) { c.CA, l.tries, l.backoff = n.ca, 8, 20*time.Millisecond })
	prepare(t, f, want)
	kills := 0
	var got bytes.Buffer
	err := f.File(file, false, &got, func(done, total int64) {
		if kills < 2 && done > int64(kills+1)*3<<20 && done < total {
			kills++
			n.kill()
			n.start()
		}
	})
	if err != nil || hashOf(got.Bytes()) != file.SHA256 || kills != 2 {
		t.Fatalf("%v, %d bytes, %d kills", err, got.Len(), kills)
	}
	if down := m.down.Load(); down > file.Size+file.Size/100 {
		t.Errorf("%d bytes down for %d", down, file.Size)
	}
}
