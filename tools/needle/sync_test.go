//go:build integration

package needle_test

import (
	"net/http"
	"net/url"
)

// inSync puts each kind into each parameter and header of /sync, with and without an id of the partner.
func (s *sender) inSync() {
	const target, cookie = "/sync?site=all&partner=adnet", "onepx_v=" + cookieOfNobody
	escaped := func(k kind, place string) string { return url.QueryEscape(s.at(k, "GET /sync "+place)) }
	for _, k := range inText {
		s.send(http.MethodGet, target+"&uid="+escaped(k, "partner uid"), "", "Cookie", cookie)
	}
	for _, k := range []kind{email, phone, card, token, secret, person, address, ipv6} {
		for _, uid := range []string{"&uid=7", "&uid=", ""} {
			if uid != "&uid=7" && k.name != email.name {
				continue // what is stored is read alike
			}
			with := " with " + uid
			for _, name := range append(parameters(s.t), "partner", "redir", "f", "hop", "c", "debug") {
				if name != "uid" {
					s.send(http.MethodGet, target+uid+"&"+url.QueryEscape(name)+"="+escaped(k, name+with), "", "Cookie", cookie)
				}
			}
			s.send(http.MethodGet, target+uid+"&redir="+url.QueryEscape("https://adnet.example/"+s.at(k, "GET /sync path of redir"+with)), "", "Cookie", cookie)
			s.send(http.MethodGet, target+uid, "", "Cookie", cookie, "Referer", s.pageURL(k, "GET /sync Referer"+with))
			s.send(http.MethodGet, target+uid, "", "Cookie", "onepx_v="+escaped(k, "cookie"+with), "X-Forwarded-For", s.at(address, "GET /sync address"+with))
		}
	}
	s.send(http.MethodGet, target+"&uid="+escaped(refused, "uid of who has opted out"), "", "Cookie", "onepx_optout=1; "+cookie)
	s.send(http.MethodGet, target+"&uid="+escaped(refused, "uid under GPC"), "", "Sec-GPC", "1", "Cookie", cookie)
	s.send(http.MethodGet, target+"&uid="+escaped(refused, "uid without a cookie"), "")
	s.send(http.MethodGet, target+"x&uid="+escaped(refused, "uid of an unknown partner"), "", "Cookie", cookie)
	s.send(http.MethodGet, target+"&debug=1&uid="+escaped(refused, "uid in a question"), "", "Cookie", cookie)
}
