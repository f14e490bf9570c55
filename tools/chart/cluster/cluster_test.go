// Package cluster_test installs the Helm chart on a real API server of Kubernetes with its store, etcd, which `make kube-test` builds
// from their Go modules. Namespaces enforce the Pod Security Standard "restricted". There are no nodes and no controllers: objects are
// accepted or refused, pods are tried and never made, and the Jobs that Helm waits for are declared done.
package cluster_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// cluster is a running API server.
type cluster struct {
	kubeconfig string
	typed      *kubernetes.Clientset
	dynamic    *dynamic.DynamicClient
	discovery  discovery.DiscoveryInterface
}

// program is the path of one that `make kube-test` has built.
func program(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("ONEPX_TEST_KUBE")
	require.NotEmpty(t, dir, "run make kube-test")
	return filepath.Join(dir, name)
}

// run starts a program that is stopped with the test; its log is shown when the test fails.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	logs := filepath.Join(t.TempDir(), name+".log")
	file, err := os.Create(logs)
	require.NoError(t, err)
	command := exec.CommandContext(context.Background(), program(t, name), args...)
	command.Stdout, command.Stderr = file, file
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt)
		late := time.AfterFunc(20*time.Second, func() { _ = command.Process.Kill() })
		_ = command.Wait()
		late.Stop()
		_ = file.Close()
		if t.Failed() {
			text, _ := os.ReadFile(logs)
			t.Logf("the end of the log of %s:\n%s", name, text[max(0, len(text)-4000):])
		}
	})
}

// address is one of this machine that nobody uses.
func address(t *testing.T) string {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// start starts etcd and the API server and waits until it is ready.
func start(t *testing.T) *cluster {
	t.Helper()
	dir := t.TempDir()
	store, peers, api := "http://"+address(t), "http://"+address(t), address(t)
	run(t, "etcd", "--data-dir", filepath.Join(dir, "etcd"), "--unsafe-no-fsync", "--listen-client-urls", store, "--advertise-client-urls", store,
		"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", "default="+peers)
	token := rand.Text()
	write(t, dir, "tokens.csv", token+`,tester,tester,"system:masters"`)
	write(t, dir, "accounts.pem", signingKey(t))
	_, port, err := net.SplitHostPort(api)
	require.NoError(t, err)
	run(t, "kube-apiserver", "--etcd-servers", store, "--bind-address", "127.0.0.1", "--secure-port", port, "--cert-dir", dir,
		"--service-cluster-ip-range", "10.96.0.0/16", "--endpoint-reconciler-type", "none", "--authorization-mode", "RBAC", "--allow-privileged",
		"--token-auth-file", filepath.Join(dir, "tokens.csv"), "--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-key-file", filepath.Join(dir, "accounts.pem"), "--service-account-signing-key-file", filepath.Join(dir, "accounts.pem"))

	config := &rest.Config{Host: "https://" + api, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{Insecure: true}, QPS: 1000, Burst: 1000}
	c := &cluster{kubeconfig: write(t, dir, "kubeconfig", fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
clusters: [{name: c, cluster: {server: "%s", insecure-skip-tls-verify: true}}], users: [{name: u, user: {token: %s}}]}`, config.Host, token))}
	c.typed, err = kubernetes.NewForConfig(config)
	require.NoError(t, err)
	c.dynamic, err = dynamic.NewForConfig(config)
	require.NoError(t, err)
	c.discovery = c.typed.Discovery()
	require.Eventually(t, func() bool {
		_, err := c.discovery.RESTClient().Get().AbsPath("/readyz").DoRaw(t.Context())
		return err == nil
	}, 2*time.Minute, 200*time.Millisecond, "the API server is not ready")
	return c
}

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// signingKey makes the key of service accounts.
func signingKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

// moduleDir is the folder of a module that the tests of the chart require; it is fetched where it is not there yet.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	download := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module)
	download.Dir = ".."
	out, err := download.Output()
	require.NoError(t, err)
	var fetched struct{ Dir string }
	require.NoError(t, json.Unmarshal(out, &fetched))
	return fetched.Dir
}

// define makes the kinds of KEDA and of the Gateway API known, from their modules.
func (c *cluster) define(t *testing.T) {
	t.Helper()
	keda, gateway := moduleDir(t, "github.com/kedacore/keda/v2"), moduleDir(t, "sigs.k8s.io/gateway-api")
	kinds := c.dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	for _, file := range []string{
		filepath.Join(keda, "config/crd/bases/keda.sh_scaledobjects.yaml"), filepath.Join(keda, "config/crd/bases/keda.sh_triggerauthentications.yaml"),
		filepath.Join(gateway, "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"),
	} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var crd unstructured.Unstructured
		require.NoError(t, yaml.Unmarshal(text, &crd.Object))
		_, err = kinds.Create(t.Context(), &crd, meta.CreateOptions{})
		require.NoError(t, err, file)
	}
	require.Eventually(t, func() bool {
		_, err1 := c.discovery.ServerResourcesForGroupVersion("keda.sh/v1alpha1")
		_, err2 := c.discovery.ServerResourcesForGroupVersion("gateway.networking.k8s.io/v1")
		return err1 == nil && err2 == nil
	}, time.Minute, 200*time.Millisecond, "the API server does not serve the kinds")
}

// namespace makes a namespace that refuses pods with more rights than "restricted" has.
func (c *cluster) namespace(t *testing.T, name string) {
	t.Helper()
	space := &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: name, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}
	_, err := c.typed.CoreV1().Namespaces().Create(t.Context(), space, meta.CreateOptions{})
	require.NoError(t, err)
	for _, account := range []string{"default", "onepx"} { // there is no controller that makes the first
		_, err = c.typed.CoreV1().ServiceAccounts(name).Create(t.Context(), &core.ServiceAccount{ObjectMeta: meta.ObjectMeta{Name: account}}, meta.CreateOptions{})
		require.NoError(t, err)
	}
}

// helm runs Helm as people do and returns what it prints.
func (c *cluster) helm(t *testing.T, namespace string, args ...string) (string, error) {
	t.Helper()
	home := t.TempDir()
	command := exec.CommandContext(t.Context(), program(t, "helm"), append(args, "--namespace", namespace)...)
	command.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	var out strings.Builder
	command.Stdout, command.Stderr = &out, &out
	err := command.Run()
	return out.String(), err
}
