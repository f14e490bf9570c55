package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// printAudiences asks the console as an ad server does, about the visitor who is the latest in the cart's audience.
func (s demoShop) printAudiences(ctx context.Context) error {
	var member struct {
		Visitor string `json:"visitor_id"`
	}
	err := s.sql.One(ctx, "SELECT visitor_id FROM onepx.audience_members(site='"+shopperSite+"', segment='cart_abandoners') WHERE NOT held_out ORDER BY qualified_at DESC, visitor_id LIMIT 1", &member)
	if err != nil {
		return err
	}
	path := "/v1/sites/" + shopperSite + "/visitors/" + member.Visitor + "/audiences"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.console+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+s.consoleKey)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, response.Status)
	}
	fmt.Printf("\nWhat an ad server is told of a visitor: GET %s\n  %s\n", path, strings.TrimSpace(string(body)))
	return nil
}
