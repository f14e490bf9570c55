//go:build integration

package secure_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// authority signs certificates for an hour.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its certificate, PEM
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.file = filepath.Join(a.dir, "authority.pem")
	der := a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, &a.key)
	var err error
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(a.file, block("CERTIFICATE", der), 0o600))
	return a
}

// sign completes a template and returns the certificate for a new key; by itself while the authority has no certificate.
func (a *authority) sign(template *x509.Certificate, key **ecdsa.PrivateKey) []byte {
	a.t.Helper()
	made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	*key = made
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(a.t, err)
	template.SerialNumber, template.NotBefore, template.NotAfter = serial, time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	parent, signer := template, made
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &made.PublicKey, signer)
	require.NoError(a.t, err)
	return der
}

// issue returns PEM files of a certificate for 127.0.0.1 and clients: the key (PKCS #8), the certificate, and both in one, as
// Kafka takes them.
func (a *authority) issue(name string) (key, cert, both string) {
	a.t.Helper()
	var private *ecdsa.PrivateKey
	der := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, &private)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(a.t, err)
	file := func(kind string, blocks ...[]byte) string {
		path := filepath.Join(a.dir, name+"-"+kind+".pem")
		require.NoError(a.t, os.WriteFile(path, bytes.Join(blocks, nil), 0o600))
		return path
	}
	keyBlock, certBlock := block("PRIVATE KEY", secret), block("CERTIFICATE", der)
	return file("key", keyBlock), file("cert", certBlock), file("both", keyBlock, certBlock)
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
