//go:build integration

package console_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
)

// browser is one person's, with the cookie that the collector has given it.
type browser struct {
	w            *world
	name, cookie string
	gpc          bool
}

// send sends a request with the parameters name, value, name, value … and keeps the cookie of the answer.
func (b *browser) send(method, path string, parameters ...string) *http.Response {
	b.w.t.Helper()
	query := url.Values{"site": {"doors"}}
	for i := 0; i < len(parameters); i += 2 {
		query.Set(parameters[i], parameters[i+1])
	}
	request, err := http.NewRequestWithContext(b.w.t.Context(), method, b.w.collector.URL+path+"?"+query.Encode(), nil)
	require.NoError(b.w.t, err)
	request.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	if b.cookie != "" {
		request.Header.Set("Cookie", b.cookie)
	}
	if b.gpc {
		request.Header.Set("Sec-Gpc", "1")
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	require.NoError(b.w.t, err)
	require.NoError(b.w.t, response.Body.Close())
	for _, c := range response.Cookies() {
		if c.Name == "onepx_v" && c.MaxAge >= 0 {
			b.cookie = c.Name + "=" + c.Value
		}
	}
	return response
}

// cart puts a product into the cart, and tells the partner's id of the visitor.
func (b *browser) cart(parameters ...string) {
	b.send(http.MethodGet, "/p.gif", append([]string{"e", "page_view", "p.who", b.name}, parameters...)...)
	b.send(http.MethodGet, "/p.gif", append([]string{"e", "add_to_cart", "items", item("sku-1"), "p.who", b.name}, parameters...)...)
	b.send(http.MethodGet, "/sync", append([]string{"partner", "adnet", "uid", b.partnerID()}, parameters...)...)
}

// partnerID is the id at the partner, with characters that a path must have escaped.
func (b *browser) partnerID() string { return "a/b%2F?" + strings.ReplaceAll(b.name, " ", "_") }

// doors are the ways by which members of the audience cart of the site doors are told.
type doors struct {
	*world
	// names are those of visitors who have had an id.
	names map[uuid.UUID]string
}

// meet learns the ids of the visitors who have been here with one.
func (d *doors) meet() {
	d.t.Helper()
	require.NoError(d.t, d.clickHouse.Query(d.t.Context(), "SELECT DISTINCT visitor_id, props['who'] AS who FROM onepx.events WHERE site_id = 'doors' AND props['who'] != '' AND visitor_kind IN ('cookie', 'minted')", func(row json.RawMessage) error {
		var r struct {
			Visitor uuid.UUID `json:"visitor_id"`
			Who     string
		}
		err := json.Unmarshal(row, &r)
		d.names[r.Visitor] = r.Who
		return err
	}))
}

// sorted are the names of the visitors, in order.
func (d *doors) sorted(visitors []uuid.UUID) []string {
	names := []string{}
	for _, v := range visitors {
		names = append(names, d.names[v])
	}
	slices.Sort(names)
	return names
}

// answer reads an answer of the console that must have the status.
func (d *doors) answer(method, path, body string, want int, into any) {
	d.t.Helper()
	status, text := d.ask(method, doorsKey, "doors"+path, body)
	require.Equal(d.t, want, status, text)
	require.NoError(d.t, json.Unmarshal([]byte(text), into))
}

type memberRow struct {
	Visitor uuid.UUID `json:"visitor_id"`
}

// view are the rows of audience_members.
func (d *doors) view() []string {
	d.t.Helper()
	var all []uuid.UUID
	require.NoError(d.t, d.clickHouse.Query(d.t.Context(), "SELECT visitor_id FROM onepx.audience_members(site = 'doors', segment = 'cart')", func(row json.RawMessage) error {
		var r memberRow
		err := json.Unmarshal(row, &r)
		all = append(all, r.Visitor)
		return err
	}))
	return d.sorted(all)
}

// list are the members that the console lists.
func (d *doors) list() []string {
	d.t.Helper()
	var page struct{ Members []struct{ Visitor uuid.UUID } }
	d.answer(http.MethodGet, "/audiences/cart/members", "", http.StatusOK, &page)
	var all []uuid.UUID
	for _, m := range page.Members {
		all = append(all, m.Visitor)
	}
	return d.sorted(all)
}

// lookups are those of whom a lookup tells an audience, by their own id and by the partner's.
func (d *doors) lookups(browsers map[string]*browser) (own, partners []string) {
	d.t.Helper()
	own, partners = []string{}, []string{}
	for v, name := range d.names {
		var got lookedUp
		if d.answer(http.MethodGet, "/visitors/"+v.String()+"/audiences", "", http.StatusOK, &got); len(got.Audiences) > 0 {
			own = append(own, name)
		}
	}
	for name, b := range browsers {
		var got lookedUp
		if d.answer(http.MethodGet, "/partners/adnet/"+url.PathEscape(b.partnerID())+"/audiences", "", http.StatusOK, &got); len(got.Audiences) > 0 {
			partners = append(partners, name)
		}
	}
	slices.Sort(own)
	slices.Sort(partners)
	return own, partners
}

// export are those who stand in a file of a new export.
func (d *doors) export(file string) []string {
	d.t.Helper()
	var asked struct{ ID uuid.UUID }
	d.answer(http.MethodPost, "/exports", `{"segment":"cart","format":"ndjson"}`, http.StatusAccepted, &asked)
	d.eventually("the export is done", patience, func() bool {
		var e struct{ Step string }
		d.answer(http.MethodGet, "/exports/"+asked.ID.String(), "", http.StatusOK, &e)
		return e.Step == "done"
	})
	status, text := d.ask(http.MethodGet, doorsKey, "doors/exports/"+asked.ID.String()+"/files/"+file+".ndjson", "")
	require.Equal(d.t, http.StatusOK, status, text)
	var all []uuid.UUID
	for line := range strings.Lines(text) {
		var r memberRow
		require.NoError(d.t, json.Unmarshal([]byte(line), &r))
		all = append(all, r.Visitor)
	}
	return d.sorted(all)
}

// told is what the stream has said of each visitor so far, in order.
func (d *doors) told() map[string]string {
	d.t.Helper()
	conn, err := kafka.DialLeader(d.t.Context(), "tcp", d.broker, "onepx.audiences", 0)
	require.NoError(d.t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(d.t, conn.SetDeadline(time.Now().Add(patience)))
	next, end, err := conn.ReadOffsets()
	require.NoError(d.t, err)
	changes := map[string][]string{}
	seen := map[string]bool{} // each is told at least once
	for next < end {
		batch := conn.ReadBatch(1, 1<<20)
		for {
			message, err := batch.ReadMessage()
			if err != nil {
				break
			}
			next = message.Offset + 1
			var c struct {
				ID, Site, Type, Reason string
				Visitor                uuid.UUID `json:"visitor_id"`
			}
			require.NoError(d.t, json.Unmarshal(message.Value, &c))
			if c.Site == "doors" && !seen[c.ID] {
				seen[c.ID] = true
				changes[d.names[c.Visitor]] = append(changes[d.names[c.Visitor]], strings.TrimSpace(c.Type+" "+c.Reason))
			}
		}
		_ = batch.Close() // its end
	}
	all := map[string]string{}
	for name, c := range changes {
		all[name] = strings.Join(c, ", ")
	}
	return all
}

// testDoors has visitors come into an audience, and refuse it each in their own way: then all doors tell only of the one who
// allows everything. Who refuses from the beginning is told of nowhere at any time.
func testDoors(t *testing.T, w *world) {
	d := &doors{world: w, names: map[uuid.UUID]string{}}
	browsers := map[string]*browser{}
	for _, name := range []string{"allows", "refuses", "sends GPC", "opts out", byLink, "is erased", "has refused", "has sent GPC", "has opted out"} {
		browsers[name] = &browser{w: w, name: name}
	}
	browsers["has sent GPC"].gpc = true
	early := browsers["has opted out"]
	early.send(http.MethodGet, "/p.gif", "e", "page_view", "p.who", early.name)
	require.Equal(t, http.StatusSeeOther, early.send(http.MethodPost, "/optout").StatusCode)
	for name, b := range browsers {
		switch name {
		case "has refused":
			b.cart("c", "0")
		case byLink:
			b.cart()
			b.send(http.MethodGet, "/p.gif", "e", "identify", "uid", address)
		default:
			b.cart()
		}
	}
	everybody := []string{"allows", "is erased", "opts out", byLink, "refuses", "sends GPC"}
	w.eventually("everybody who has not refused is a member", patience, func() bool {
		d.meet()
		own, partners := d.lookups(browsers)
		return slices.Equal(d.view(), everybody) && slices.Equal(own, everybody) && slices.Equal(partners, everybody) &&
			slices.Equal(slices.Sorted(maps.Keys(d.told())), everybody)
	})
	require.Equal(t, everybody, d.list())
	require.Equal(t, everybody, d.export("members"))

	browsers["refuses"].send(http.MethodGet, "/p.gif", "e", "page_view", "c", "0")
	browsers["sends GPC"].gpc = true
	browsers["sends GPC"].send(http.MethodGet, "/p.gif", "e", "page_view")
	require.Equal(t, http.StatusSeeOther, browsers["opts out"].send(http.MethodPost, "/optout").StatusCode)
	d.optOutByLink()
	d.eraseOne("is erased")
	only := []string{"allows"}
	w.eventually("only who allows it is a member", patience, func() bool {
		own, partners := d.lookups(browsers)
		told := d.told()
		return slices.Equal(d.view(), only) && slices.Equal(own, only) && slices.Equal(partners, only) &&
			told["refuses"] != entered && told["sends GPC"] != entered && told["opts out"] != entered && told[byLink] != entered
	})
	require.Equal(t, only, d.list())
	require.Equal(t, []string{"opts out", byLink, "refuses", "sends GPC"}, d.export("removed"), "of the erased nothing is said")
	require.Equal(t, only, d.export("members"))
	const left = entered + ", audience_left suppressed"
	require.Equal(t, map[string]string{"allows": entered, "is erased": entered, "refuses": left, "sends GPC": left, "opts out": left, byLink: left}, d.told())
}

// entered is all that the stream tells of somebody who comes into the audience and stays.
const entered = "audience_entered"

// byLink is a visitor who gives an address, and opts out by the link of a mail to it, in another browser.
const (
	byLink  = "opts out by a link"
	address = "linked@example.com"
)

func (d *doors) optOutByLink() {
	d.t.Helper()
	link, err := d.pipeline.Collector(d.t.Context(), "optout-link", "--url", d.collector.URL, "--site", "doors", address)
	require.NoError(d.t, err, link)
	request, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, strings.TrimSpace(link), nil)
	require.NoError(d.t, err)
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	require.NoError(d.t, err)
	require.NoError(d.t, response.Body.Close())
	require.Equal(d.t, http.StatusSeeOther, response.StatusCode)
}

// eraseOne has the visitor of that name erased.
func (d *doors) eraseOne(name string) {
	d.t.Helper()
	for v, n := range d.names {
		if n != name {
			continue
		}
		var taken, state struct {
			ID   uuid.UUID
			Step string
		}
		d.answer(http.MethodPost, "/privacy/erasures", fmt.Sprintf(`{"visitors":[%q]}`, v), http.StatusAccepted, &taken)
		d.eventually("the erasure is done", patience, func() bool {
			d.answer(http.MethodGet, "/privacy/erasures/"+taken.ID.String(), "", http.StatusOK, &state)
			return state.Step == "done"
		})
	}
}
