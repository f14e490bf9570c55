//go:build integration

package needle_test

import (
	"net/http"
	"net/url"
	"strings"
)

// cookieOfNobody is a visitor cookie that was never given out.
const cookieOfNobody = "AAECAwQFBgcICQoLDA0ODw"

// mustNotBeStored sends what is not to leave any trace of its content: hits of visitors who refuse, questions, and requests
// that are at fault.
func (s *sender) mustNotBeStored() {
	for _, way := range ways {
		for _, wish := range []struct {
			name   string
			fields event
			header []string
		}{
			{"of who has opted out", event{"site": "all"}, []string{"Cookie", "onepx_optout=1; onepx_v=" + cookieOfNobody}},
			{"with c=0", event{"site": "all", "c": "0"}, []string{"Cookie", "onepx_v=" + cookieOfNobody}},
			{"without consent where hits are counted", event{"site": "counting"}, nil},
			{"without consent where they are not", event{"site": "silent"}, nil},
			{"of an unknown site", event{"site": "nowhere"}, nil},
			{"debug=1", event{"site": "all", "debug": "1"}, nil},
			{"with a name that is too long", event{"site": "all", "e": strings.Repeat("a", 65)}, nil},
		} {
			if way.name == "POST /v1/events" && (len(wish.header) > 0 && wish.fields["c"] == nil || wish.fields["site"] != "all") {
				continue // a server has no cookies, and one site
			}
			fields := event{"e": "hello"}
			for _, name := range []string{"t", "u", "r", "uid", "v", "id", "order_id", "note", "gclid", "utm_source"} {
				value := s.at(refused, way.name+" "+name+" "+wish.name)
				if name == "u" || name == "r" {
					value = "https://shop.example/" + value
				}
				fields[name] = value
			}
			for name, value := range wish.fields {
				fields[name] = value
			}
			way.one(s, fields, append(wish.header, "User-Agent", "Mozilla/5.0 (X) "+s.at(refused, way.name+" User-Agent "+wish.name),
				"X-Forwarded-For", s.at(address, way.name+" address "+wish.name))...)
		}
	}
	s.atFault()
	s.elsewhere()
}

// atFault sends requests that can't be read.
func (s *sender) atFault() {
	for _, target := range []string{"/e", "/e?site=all", "/v1/events"} {
		mark := func(what string) string { return s.at(refused, "POST "+target+" "+what) }
		key := []string{"X-Write-Key", writeKey}
		s.send(http.MethodPost, target, `{"site":"all","t":"`+mark("cut off")+`"`, key...)
		s.send(http.MethodPost, target, `["`+mark("no object")+`"]`, key...)
		s.send(http.MethodPost, target, `{"site":"all","t":"`+mark("not compressed")+`"}`, append(key, "Content-Encoding", "gzip")...)
		s.send(http.MethodPost, target, `{"site":"all","t":"`+mark("encoding unknown")+`"}`, append(key, "Content-Encoding", "br")...)
		s.send(http.MethodPost, target, `{"site":"nowhere","t":"`+mark("unknown site")+`","uid":"`+mark("uid, unknown site")+`"}`, key...)
		s.send(http.MethodPost, target, `{"site":"all","items":[`+strings.Repeat(`{"id":"`+mark("too many items")+`"},`, 101)+`{}]}`, key...)
		s.send(http.MethodPost, target, "\xff\xfe"+mark("no UTF-8"), key...)
	}
	s.send(http.MethodPost, "/v1/events", `{"t":"`+s.at(refused, "POST /v1/events with a wrong key")+`"}`, "Authorization", "Bearer "+s.at(secret, "Authorization"))
	s.send(http.MethodPost, "/v1/events?key="+s.at(secret, "key in the URL"), `{"t":"`+s.at(refused, "POST /v1/events without a key")+`"}`)
	s.send(http.MethodHead, "/p.gif?site=all&t="+s.at(refused, "HEAD"), "")
	s.send(http.MethodGet, "/p.gif?site=all&x="+strings.Repeat("a", 17<<10)+s.at(refused, "URL that is too long"), "")
	s.send(http.MethodGet, "/p.gif?site=all&"+strings.Repeat("%zz", 100)+"&p.="+s.at(refused, "property without a name"), "")
}

// elsewhere puts texts of each kind into what takes no events.
func (s *sender) elsewhere() {
	for _, k := range append(inText, refused, person, address) {
		escaped := func(place string) string { return url.QueryEscape(s.at(k, place)) }
		for _, target := range []string{"/optout", "/optin", "/t.js", "/robots.txt", "/.well-known/gpc.json", "/nowhere"} {
			s.send(http.MethodGet, target+"?site="+escaped("GET "+target+" site")+"&link="+escaped("GET "+target+" link")+"&x="+escaped("GET "+target+" x"), "",
				"User-Agent", s.at(k, "GET "+target+" User-Agent"), "Referer", "https://shop.example/"+escaped("GET "+target+" Referer"), "X-Forwarded-For", s.at(address, "GET "+target+" X-Forwarded-For"))
			s.send(http.MethodPost, target+"?site=all&link="+escaped("POST "+target+" link"), "v="+escaped("POST "+target+" v")+"&x="+escaped("POST "+target+" x"),
				"Content-Type", "application/x-www-form-urlencoded", "Cookie", "onepx_v="+cookieOfNobody+"; onepx_optout=1", "X-Forwarded-For", s.at(address, "POST "+target+" X-Forwarded-For"))
		}
		s.send(http.MethodGet, "/"+url.PathEscape(s.at(k, "unknown path"))+"?x=1", "")
		s.send(http.MethodPut, "/p.gif?x="+escaped("PUT /p.gif"), s.at(k, "body of PUT /p.gif"))
	}
}

// withoutIdentity sends hits that are stored, but of nobody.
func (s *sender) withoutIdentity() {
	for _, way := range ways[:2] {
		way.one(s, event{"site": "strict", "uid": s.at(person, way.name+" uid without consent"), "v": s.at(person, way.name+" v without consent"), "gclid": s.at(person, way.name+" click id without consent")},
			"X-Forwarded-For", s.at(address, way.name+" address without consent"), "Cookie", "onepx_v="+cookieOfNobody)
	}
}
