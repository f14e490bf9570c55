package webhooks_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"code.dny.dev/ssrf"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/webhooks"
)

func TestAddressesThatAreNotPublicAreNotReached(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it is reached") }))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	client := webhooks.NewClient(false)
	defer client.CloseIdleConnections()
	for _, host := range []string{"127.0.0.1", "localhost", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "[::1]", "[fd00::1]", "[fe80::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]"} {
		answer, err := client.Post("http://"+host+":"+port, "text/plain", strings.NewReader("x"))
		if err == nil {
			_ = answer.Body.Close()
		}
		require.ErrorIs(t, err, ssrf.ErrProhibitedIP, host)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	var paths []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	client := webhooks.NewClient(true)
	defer client.CloseIdleConnections()
	answer, err := client.Post(server.URL+"/hook", "text/plain", strings.NewReader("x"))
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusTemporaryRedirect, answer.StatusCode)
	require.Equal(t, []string{"/hook"}, paths)
}
