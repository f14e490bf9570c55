package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOutcomesThatDifferFromTheTruthAreNamed(t *testing.T) {
	var outcomes []outcome
	for _, s := range shoppers {
		outcomes = append(outcomes, outcome{s.products, s.shown})
	}
	require.NoError(t, compareOutcomes(outcomes))
	outcomes[0].shown, outcomes[5].products = "cup carted", []string{"tea carted"}
	require.EqualError(t, compareOutcomes(outcomes), "Anna puts tea into the cart and leaves: to be shown \"cup carted\", not \"tea carted\"\n"+
		"Finn puts tea into the cart, and then wants no audiences: interested in [\"tea carted\"], not []")
}
