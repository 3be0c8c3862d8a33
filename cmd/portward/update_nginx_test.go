//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// certify makes a certificate for the loopback host which is its own authority.
func certify(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for name, b := range map[string]*pem.Block{"ca.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(b), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// An nginx is Debian's, serving the depot on the loopback.
type nginx struct {
	t     *testing.T
	dir   string
	port  int
	child *exec.Cmd
}

// startNginx starts one that sends each answer no faster than rate, in nginx's
// words; empty: as fast as it can. It ends with the test.
func (d *depot) startNginx(t *testing.T, rate string) *nginx {
	t.Helper()
	path := need(t, "nginx")
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nginx{t: t, dir: t.TempDir(), port: l.Addr().(*net.TCPAddr).Port}
	l.Close()
	if rate != "" {
		rate = "limit_rate " + rate + ";"
	}
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr crit;
events { worker_connections 64; }
http {
  access_log %[1]s/access; %[2]s
  client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  server {
    listen 127.0.0.1:%[3]d ssl; root %[4]s/repo;
    ssl_certificate %[4]s/ca.pem; ssl_certificate_key %[4]s/key.pem;
  }
}
`, n.dir, rate, n.port, d.dir)
	if err := os.WriteFile(filepath.Join(n.dir, "conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.kill)
	n.start(path)
	return n
}

func (n *nginx) url() string { return fmt.Sprintf("https://127.0.0.1:%d", n.port) }

func (n *nginx) start(path string) {
	n.t.Helper()
	n.child = exec.Command(path, "-c", filepath.Join(n.dir, "conf"), "-p", n.dir, "-e", "stderr")
	if err := n.child.Start(); err != nil {
		n.t.Fatal(err)
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", n.port)); err == nil {
			c.Close()
			return
		}
	}
	n.t.Fatal("nginx does not listen")
}

// kill ends it as a cut cable would; twice is once.
func (n *nginx) kill() {
	if n.child != nil && n.child.Process != nil {
		n.child.Process.Kill()
		n.child.Wait()
	}
}

// sent answers how many bytes of blobs and patches it sent.
func (n *nginx) sent() (bytes int) {
	b, _ := os.ReadFile(filepath.Join(n.dir, "access"))
	for line := range strings.Lines(string(b)) {
		_, rest, ok := strings.Cut(line, `"GET /b/`)
		if fields := strings.Fields(rest); ok && len(fields) > 3 { // HASH HTTP/1.1" STATUS BYTES
			count, _ := strconv.Atoi(fields[3])
			bytes += count
		}
	}
	return bytes
}

// said answers how often a text is in what it logs of requests.
func (n *nginx) said(text string) int {
	b, _ := os.ReadFile(filepath.Join(n.dir, "access"))
	return strings.Count(string(b), text)
}
