package imports_test

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/imports"
	"github.com/onepx/onepx/services/consumer/internal/store"
)

var update = flag.Bool("update", false, "rewrite testdata/feed")

const feedHeader = "id,title,link,price,availability\n"

func feed(file string, allowed int) (imports.Feed, []store.Product, error) {
	var all []store.Product
	read, err := imports.ReadFeed(strings.NewReader(file), allowed, func(p *store.Product) error {
		all = append(all, *p)
		return nil
	})
	return read, all, err
}

func TestFeedsAreReadAsShopsExportThem(t *testing.T) {
	always, end := time.Unix(0, 0).UTC(), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	tea := store.Product{
		ID: "sku-1", Title: "Green tea", Link: "https://shop.example/tea", PriceMicros: 4_900_000, Currency: "EUR",
		Availability: "in_stock", SaleFrom: always, SaleUntil: end, Line: 2,
	}
	with := func(change func(*store.Product)) []store.Product {
		p := tea
		change(&p)
		return []store.Product{p}
	}
	for _, tc := range []struct {
		name, file string
		want       []store.Product
	}{
		{"with commas and the columns that are needed", feedHeader + "sku-1,Green tea,https://shop.example/tea,4.90 EUR,in_stock\n", []store.Product{tea}},
		{"with tabs, a byte order mark, CRLF, names with spaces, other columns, and quotes within and around fields",
			"\ufeffID\tTitle\tDescription\tlink\tImage Link\tprice\tavailability\tproduct type\tgoogle product category\titem group id\r\n" +
				"sku-1\t5\" \"tea\" pot\t\"two\nlines\"\thttps://shop.example/tea\thttps://shop.example/tea.jpg\t4.90 EUR\tIn Stock\tPots > Small\t2271\tpots\r\n",
			with(func(p *store.Product) {
				p.Title, p.ImageLink, p.Category, p.GroupID = `5" "tea" pot`, "https://shop.example/tea.jpg", "Pots > Small", "pots"
			})},
		{"with quoted commas, and Google's category where there is no other", "id,title,link,price,availability,google_product_category,product_type\nsku-1,\"Green, hot\",https://shop.example/tea,0 EUR,out of stock,2271,\n",
			with(func(p *store.Product) {
				p.Title, p.PriceMicros, p.Availability, p.Category = "Green, hot", 0, "out_of_stock", "2271"
			})},
		{"with a sale price for always", "id,title,link,price,availability,sale_price\nsku-1,Green tea,https://shop.example/tea,4.90 EUR,preorder,3.999999 EUR\n",
			with(func(p *store.Product) { p.Availability, p.SaleMicros = "preorder", new(int64(3_999_999)) })},
		{"with a sale price for some days", "id,title,link,price,availability,sale_price,sale_price_effective_date\nsku-1,Green tea,https://shop.example/tea,4.90 EUR,backorder,3.99 EUR,2026-11-24T11:07+0100/2026-11-27T23:07:31Z\n",
			with(func(p *store.Product) {
				p.Availability, p.SaleMicros = "backorder", new(int64(3_990_000))
				p.SaleFrom, p.SaleUntil = time.Date(2026, 11, 24, 10, 7, 0, 0, time.UTC), time.Date(2026, 11, 27, 23, 7, 31, 0, time.UTC)
			})},
		{"with days of a sale that is none", "id,title,link,price,availability,sale_price,sale_price_effective_date\nsku-1,Green tea,https://shop.example/tea,4.90 EUR,in_stock,,whenever\n", []store.Product{tea}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			read, got, err := feed(tc.file, 0)
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
			require.Equal(t, imports.Feed{Products: len(tc.want)}, read)
		})
	}
}

func TestFeedsWithMistakesAreRefusedWithAllOfThem(t *testing.T) {
	for _, tc := range []struct{ name, file string }{
		{"empty", ""},
		{"header_alone", feedHeader},
		{"columns_missing_and_twice", "ID,title,Title,link,image_link\n"},
		{"no_header", "sku-1,Green tea,https://shop.example/tea,4.90 EUR,in_stock\n"},
		{"everything", "id,title,link,price,availability,image_link,sale_price,sale_price_effective_date,product_type,item_group_id\n" +
			",,,,,,,,,\n" +
			strings.Repeat("i", 129) + "," + strings.Repeat("t", 1025) + ",shop.example/tea,4.90,soon,tea.jpg,3 USD,2026-11-24/2026-11-30,\"a\nb\",\xff\n" +
			"sku-1,tea,https://shop.example/tea,\"4,90 EUR\",in_stock,ftp://shop.example/tea.jpg,,,,\n" +
			"sku-2,tea,https://shop.example/tea,-1 EUR,in_stock,,1 EUR,2026-11-30T00:00Z/2026-11-24T00:00Z,,\n" +
			"sku-3,tea,https://shop.example/tea,1 EUR,in_stock,,1 USD,0001-01-01T00:00Z/9999-01-01T00:00Z,,\n" +
			"sku-4,tea,https://shop.example/tea,1000000000000 EUR,in_stock,,,,,\n" +
			"sku-5,tea,https://shop.example/tea,1 EUR,in_stock,,,,,\n" +
			"sku-5,tea,https://shop.example/tea,1 EUR,in_stock,,,,,\n" +
			"sku-6,tea,https://shop.example/tea\n"},
		{"a_quote_that_is_not_closed", feedHeader + "sku-1,\"Green tea,https://shop.example/tea,4.90 EUR,in_stock\nsku-2,tea,https://shop.example/tea,4.90 EUR,in_stock\n"},
		{"a_quote_that_takes_the_rest", feedHeader + "sku-1,\"Green tea,https://shop.example/tea,4.90 EUR,in_stock\n" + strings.Repeat("sku-2,tea,https://shop.example/tea,4.90 EUR,in_stock\n", 30_000)},
		{"a_tab_separated_quote_that_is_not_closed", strings.ReplaceAll(feedHeader, ",", "\t") + "sku-1\t\"Green\" tea\thttps://shop.example/tea\t4.90 EUR\tin_stock\nsku-2\ttea\thttps://shop.example/tea\t4.90 EUR\tin_stock\n"},
		{"utf_16", "\xff\xfei\x00d\x00\n\x00"},
		{"many", feedHeader + strings.Repeat("sku-1,tea,https://shop.example/tea,4.90 EUR,in_stock\n", 60)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := feed(tc.file, 0)
			require.Error(t, err)
			golden := filepath.Join("testdata", "feed", tc.name+".txt")
			want, errRead := os.ReadFile(golden)
			if *update {
				require.NoError(t, os.MkdirAll(filepath.Dir(golden), 0o750))
				require.NoError(t, os.WriteFile(golden, []byte(err.Error()+"\n"), 0o600))
				return
			}
			require.NoError(t, errRead)
			require.Equal(t, string(want), err.Error()+"\n")
		})
	}
}

func TestSomeBadRowsMayBeAllowed(t *testing.T) {
	file := feedHeader + "a,tea,https://shop.example/tea,1 EUR,in_stock\nb,tea,tea,1,in_stock\nc,tea,https://shop.example/tea,1 EUR,in_stock\nd\n"
	_, _, err := feed(file, 1)
	require.ErrorContains(t, err, "line 5: has 1 fields, the header has 5\nrows with a mistake: 2")
	read, got, err := feed(file, 2)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "c"}, []string{got[0].ID, got[1].ID})
	require.Equal(t, 2, read.Products)
	require.Equal(t, 2, read.BadRows)
	require.Equal(t, 3, strings.Count(read.Mistakes+"\n", "\n"))
	_, _, err = feed(feedHeader+"d\n", 1)
	require.EqualError(t, err, "line 2: has 1 fields, the header has 5\nline 2: there are no products in the file")
	_, _, err = feed(file+"e,\"tea,https://shop.example/tea,1 EUR,in_stock\n", 9)
	require.ErrorContains(t, err, "is no CSV", "a file that can't be read to its end is refused")
}

func TestWhoTakesTheProductsCanStop(t *testing.T) {
	stop := errors.New("enough")
	_, err := imports.ReadFeed(strings.NewReader(feedHeader+"a,tea,https://shop.example/tea,1 EUR,in_stock\n"), 0, func(*store.Product) error { return stop })
	require.ErrorIs(t, err, stop)
}

// rowsOf writes a feed of n products.
func rowsOf(n int) io.Reader {
	r, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, feedHeader)
		for i := range n {
			if _, err := fmt.Fprintf(w, "sku-%d,Product number %d,https://shop.example/%d,%d.90 EUR,in_stock\n", i, i, i, i%100); err != nil {
				break
			}
		}
		_ = w.Close()
	}()
	return r
}

func TestAFeedOf200000ProductsIsReadInBoundedMemory(t *testing.T) {
	var memory runtime.MemStats
	var most uint64
	read := 0
	_, err := imports.ReadFeed(rowsOf(200_000), 0, func(*store.Product) error {
		if read++; read%20_000 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&memory)
			most = max(most, memory.HeapAlloc)
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, 200_000, read)
	t.Logf("%d bytes", most)
	require.Less(t, most, uint64(40<<20), "what is kept of a product is the hash of its id and its line")
}

func FuzzReadFeed(f *testing.F) {
	f.Add(feedHeader+"sku-1,Green tea,https://shop.example/tea,4.90 EUR,in_stock\n", 0)
	f.Add("id\ttitle\tlink\tprice\tavailability\tsale price\tsale price effective date\nsku\t\"a\"b\thttp://a/\t1 EUR\tpreorder\t1 EUR\t2026-11-24T11:07+0100/2026-11-27T23:07:31Z\n", 1)
	f.Add(feedHeader+"sku-1,\"\n", 3)
	f.Fuzz(func(t *testing.T, file string, allowed int) {
		read, got, err := feed(file, allowed)
		if err != nil {
			return
		}
		require.Len(t, got, read.Products)
		require.LessOrEqual(t, read.BadRows, max(allowed, 0))
		seen := map[string]bool{}
		for _, p := range got {
			require.NotEmpty(t, p.ID)
			require.False(t, seen[p.ID])
			seen[p.ID] = true
			require.GreaterOrEqual(t, p.PriceMicros, int64(0))
			require.Contains(t, []string{"in_stock", "out_of_stock", "preorder", "backorder"}, p.Availability)
			require.False(t, p.SaleUntil.Before(p.SaleFrom))
			require.Positive(t, p.Line)
		}
	})
}
