//go:build integration

package main

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	feedHead = "id\ttitle\tlink\timage link\tprice\tavailability\tproduct type\n"
	// productsOf shows the products that are in place.
	productsOf = "SELECT site_id, product_id, price_micros, toString(availability) AS availability FROM %s.products ORDER BY site_id, product_id"
)

func feedRow(id, price, availability string) string {
	return id + "\tProduct " + id + "\thttps://shop.example/" + id + "\t\t" + price + "\t" + availability + "\tTea\n"
}

func TestAFeedTakesThePlaceOfTheFormerOne(t *testing.T) {
	w := empty(t)
	require.Zero(t, command(t, "migrate").code)
	imported := func(site, file string) {
		t.Helper()
		got := command(t, "import", "feed", "--site", site, csvFile(t, file))
		require.Zero(t, got.code, got.errOut)
		require.Equal(t, fmt.Sprintf("imported %d products of %s\n", strings.Count(file, "\n")-1, site), got.out)
	}
	imported("shop", feedHead+feedRow("a", "1 EUR", "in stock")+feedRow("b", "2 EUR", "in stock"))
	imported("my-blog", feedHead+feedRow("a", "9 USD", "preorder"))
	imported("shop", feedHead+feedRow("b", "2.50 EUR", "out of stock")+feedRow("c", "3 EUR", "backorder"))
	want := []string{
		`{"site_id":"my-blog","product_id":"a","price_micros":9000000,"availability":"preorder"}`,
		`{"site_id":"shop","product_id":"b","price_micros":2500000,"availability":"out_of_stock"}`,
		`{"site_id":"shop","product_id":"c","price_micros":3000000,"availability":"backorder"}`,
	}
	require.Equal(t, want, w.query(productsOf), "what the new feed does not have is gone, another site's feed stays")

	bad := csvFile(t, feedHead+feedRow("d", "1 EUR", "in stock")+feedRow("e", "1", "soon"))
	refused := command(t, "import", "feed", "--site", "shop", bad)
	require.Equal(t, 1, refused.code)
	require.Contains(t, refused.errOut, "nothing was imported\nline 3: availability: \"soon\" is not in_stock")
	require.Equal(t, want, w.query(productsOf), "not even the good row")

	allowed := command(t, "import", "feed", "--site", "shop", "--bad-rows", "1", bad)
	require.Zero(t, allowed.code, allowed.errOut)
	require.Equal(t, "imported 1 products of shop\n", allowed.out)
	require.Contains(t, allowed.errOut, "rows left out: 1\nline 3: availability")
	require.Equal(t, []string{want[0], `{"site_id":"shop","product_id":"d","price_micros":1000000,"availability":"in_stock"}`}, w.query(productsOf))
	require.Equal(t, []string{`{"tables":["products"]}`}, w.query("SELECT groupArray(name) AS tables FROM system.tables WHERE startsWith(name, 'products') AND database = '%s'"), "nothing is left over")

	for _, wrong := range [][]string{{"--site", "Shop!"}, {"--site", "shop", "--bad-rows", "-1"}, {}} {
		require.Equal(t, 2, command(t, append(append([]string{"import", "feed"}, wrong...), bad)...).code)
	}
}

func TestALargeFeedIsImportedFromACompressedFileAndFromStandardInput(t *testing.T) {
	w := empty(t)
	require.Zero(t, command(t, "migrate").code)
	const n = 3*productBlock + 1
	path := filepath.Join(t.TempDir(), "feed.tsv.GZ")
	file, err := os.Create(path)
	require.NoError(t, err)
	packed := gzip.NewWriter(file)
	out := bufio.NewWriter(packed)
	fmt.Fprint(out, feedHead)
	for i := range n {
		fmt.Fprint(out, feedRow(fmt.Sprint("p", i), "1.50 EUR", "in stock"))
	}
	require.NoError(t, out.Flush())
	require.NoError(t, packed.Close())
	require.NoError(t, file.Close())
	got := command(t, "import", "feed", "--site", "shop", path)
	require.Zero(t, got.code, got.errOut)
	sums := "SELECT count() AS rows, uniqExact(product_id) AS ids, sum(price_micros) AS micros, uniqExact(feed_id) AS feeds, max(line) AS last FROM %s.products"
	require.Equal(t, []string{fmt.Sprintf(`{"rows":%d,"ids":%d,"micros":%d,"feeds":1,"last":%d}`, n, n, n*1_500_000, n+1)}, w.query(sums))

	// The same file, cut off in the middle.
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	cut := filepath.Join(t.TempDir(), "cut.gz")
	require.NoError(t, os.WriteFile(cut, text[:len(text)/2], 0o600))
	refused := command(t, "import", "feed", "--site", "shop", "--bad-rows", "9", cut)
	require.Equal(t, 1, refused.code)
	require.Contains(t, refused.errOut, "nothing was imported\nline ")
	require.Contains(t, refused.errOut, "unexpected EOF")
	require.Len(t, w.query(sums), 1)

	stdin, err := os.Open(csvFile(t, feedHead+feedRow("a", "1 EUR", "in stock")))
	require.NoError(t, err)
	defer func(before *os.File) {
		os.Stdin = before
		require.NoError(t, stdin.Close())
	}(os.Stdin)
	os.Stdin = stdin
	require.Zero(t, command(t, "import", "feed", "--site", "shop", "-").code)
	require.Equal(t, []string{`{"rows":1,"ids":1,"micros":1000000,"feeds":1,"last":2}`}, w.query(sums))
}
