package clickhouseconn_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAnErrorForLogsRepeatsNothingOfTheQuery(t *testing.T) {
	err := fmt.Errorf("look up: %w", &clickhouse.Exception{Code: 60, Name: "DB::Exception", Message: "in scope SELECT … WHERE visitor_id = '0190b5ad'"})
	require.EqualError(t, clickhouseconn.Discreet(err), "clickhouse exception 60 (DB::Exception)")
	other := errors.New("dial tcp: refused")
	require.Equal(t, other, clickhouseconn.Discreet(other))
}

func TestATextInAQueryStaysOne(t *testing.T) {
	require.Equal(t, `'it\'s \\'`, clickhouseconn.Literal(`it's \`))
}

func TestColumnsAreInTheOrderOfTheFields(t *testing.T) {
	type base struct {
		B string `ch:"b"`
	}
	type row struct {
		base
		A string `ch:"a.x"`
	}
	require.Equal(t, []string{"`b`", "`a.x`"}, clickhouseconn.Columns[row]())
}

func TestSettingsThatDoNotFit(t *testing.T) {
	for name, s := range map[string]clickhouseconn.Settings{
		"ONEPX_CLICKHOUSE_DATABASE":    {Database: "a-b"},
		"ONEPX_CLICKHOUSE_TLS_CA_FILE": {Database: "onepx", CAFile: "ca.pem"},
	} {
		require.ErrorContains(t, s.Validate(), name)
	}
	require.NoError(t, clickhouseconn.Settings{Database: "onepx", TLS: true, ServerName: "db"}.Validate())
	_, err := clickhouseconn.Settings{TLS: true, CAFile: "missing.pem"}.Open(clickhouseconn.OfConsumers)
	require.ErrorContains(t, err, "ONEPX_CLICKHOUSE_TLS_CA_FILE")
}
