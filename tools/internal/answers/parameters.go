package answers

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"strings"
)

// Parameters are what the sender of the event says of it, by the names of docs/pixel.md, all but the site. The pixel has utm
// parameters and click ids in the page URL where there is one, scripts and servers beside it.
func (e *Event) Parameters() map[string]string {
	p := map[string]string{
		"e": e.Name, "id": e.ID, "r": e.Referrer, "v": e.Visitor, "uid": e.User,
		"order_id": e.OrderID, "value": e.Value, "currency": e.Currency, "items": e.items(),
	}
	if e.Consents {
		p["c"] = "1"
	}
	if !e.At.IsZero() {
		p["ts"] = fmt.Sprint(e.At.UnixMilli())
	}
	for name, value := range e.Props {
		p["p."+name] = value
	}
	campaign := url.Values{}
	for name, value := range e.UTM {
		campaign.Set("utm_"+name, value)
	}
	if e.ClickParam != "" {
		campaign.Set(e.ClickParam, e.ClickID)
	}
	p["u"] = e.URL
	if e.Transport == Pixel && e.URL != "" && len(campaign) > 0 {
		p["u"] += "?" + campaign.Encode()
	} else {
		for name := range campaign {
			p[name] = campaign.Get(name)
		}
	}
	maps.DeleteFunc(p, func(_, value string) bool { return value == "" })
	return p
}

func (e *Event) items() string {
	if len(e.Items) == 0 {
		return ""
	}
	var all []string
	for _, item := range e.Items {
		fields := map[string]string{"id": item.ID, "qty": item.Quantity, "price": item.Price, "category": item.Category}
		maps.DeleteFunc(fields, func(_, value string) bool { return value == "" })
		text, err := json.Marshal(fields)
		if err != nil {
			panic(err) // texts always can be written
		}
		all = append(all, string(text))
	}
	if e.ItemsBroken {
		all = append(all, `{"id": "broken", "qty": "two"}`)
	}
	return "[" + strings.Join(all, ",") + "]"
}
