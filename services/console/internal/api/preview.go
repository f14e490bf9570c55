package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/onepx/onepx/services/shared/siteconfig"
)

const (
	// maxRule is how many bytes a rule may have: one with a thousand products has less.
	maxRule = 64 << 10
	// maxPreviews is how many previews run at once: each reads all events that the rule can need.
	maxPreviews = 2
	// previewDays is how many days a preview shows, today included.
	previewDays = 30

	typeJSON = "application/json"
	typeYAML = "application/yaml"
)

type previewInput struct {
	SiteInput
	ContentType string `header:"Content-Type" doc:"application/yaml or application/json."`
	RawBody     []byte `contentType:"application/yaml"`
}

type previewOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         struct {
		Members uint64        `json:"members" doc:"Visitors who would be in it now, without those held out."`
		Minted  uint64        `json:"minted" doc:"Those of the members whose browser has never sent the id back: they may be fewer people."`
		HeldOut uint64        `json:"held_out" doc:"Visitors who would be in it and held out."`
		Days    []audienceDay `json:"days" doc:"The last 30 days of the site, today included."`
		Samples []member      `json:"samples" doc:"Members, those who stay longest first; at most 10."`
	}
}

func (s *Server) registerPreview() {
	op := operation("preview-audience", http.MethodPost, "/audiences/preview", siteconfig.RightSegments, "Who would be in an audience by a rule?",
		"Judges the stored events by the rule; nothing is changed. What is wrong with the rule is told by line, and shows the wrong values. Two previews run at once on each console, more are answered with 503.")
	op.MaxBodyBytes = maxRule + 1 // huma refuses what has as many
	op.Errors = append(op.Errors, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity)
	const example = "id: cart_abandoners\nenter: {event: add_to_cart}\nleave: {event: purchase}\nsame_product: true\n"
	op.RequestBody = &huma.RequestBody{
		Description: "One rule, as under segments in onepx.yaml (onepx.schema.json describes it); at most 64 KiB.",
		Content:     map[string]*huma.MediaType{typeJSON: {Example: json.RawMessage(`{"id":"cart_abandoners","enter":{"event":"add_to_cart"},"leave":{"event":"purchase"},"same_product":true}`)}},
	}
	register(s, op, s.preview)
	op.RequestBody.Content[typeYAML] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}, Example: example}
}

func (s *Server) preview(ctx context.Context, in *previewInput) (*previewOutput, error) {
	select { // reading a rule costs something, too
	case s.previews <- struct{}{}:
		defer func() { <-s.previews }()
	default:
		return nil, errAgain(busy)
	}
	rule, err := ruleOf(in)
	if err != nil {
		return nil, err
	}
	out := &previewOutput{CacheControl: "no-store"}
	return out, s.ask(ctx, func(ctx context.Context) error {
		now := s.deps.Now()
		p, err := s.deps.Audiences.Preview(ctx, callerOf(ctx).site, rule, now, previewDays)
		if err != nil {
			return err
		}
		out.Body.Members, out.Body.Minted, out.Body.HeldOut = p.Size.Members, p.Size.Minted, p.Size.HeldOut
		out.Body.Days, out.Body.Samples = daysOf(p.Days), s.tellable(p.Samples, now)
		return nil
	})
}

// ruleOf reads the rule of a request.
func ruleOf(in *previewInput) (siteconfig.Segment, error) {
	text := in.RawBody
	switch kind, _, _ := mime.ParseMediaType(in.ContentType); kind {
	case typeYAML:
	case typeJSON:
		if !json.Valid(text) {
			return siteconfig.Segment{}, errInvalid("body", "is not valid JSON")
		}
		// JSON is YAML but for tabs, which JSON has between its values only.
		text = bytes.ReplaceAll(text, []byte{'\t'}, []byte{' '})
	default:
		return siteconfig.Segment{}, huma.Error415UnsupportedMediaType("send the rule as " + typeYAML + " or " + typeJSON)
	}
	rule, err := siteconfig.ParseSegment("rule", text)
	if err == nil {
		return rule, nil
	}
	var details []error
	for _, p := range siteconfig.ProblemsOf(err) {
		location := "body"
		if p.Path != "" {
			location += "." + p.Path
		}
		details = append(details, &huma.ErrorDetail{Location: location, Message: fmt.Sprintf("line %d, column %d: %s", p.Line, p.Column, p.Text)})
	}
	return siteconfig.Segment{}, huma.Error422UnprocessableEntity("validation failed", details...)
}
