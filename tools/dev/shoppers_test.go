package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInterestsThatDifferFromTheTruthAreNamed(t *testing.T) {
	interests := make([][]string, len(shoppers))
	for i, s := range shoppers {
		interests[i] = s.products
	}
	require.NoError(t, compareInterests(interests))
	interests[5] = []string{"tea carted"}
	require.EqualError(t, compareInterests(interests), `Finn puts tea into the cart, and then wants no audiences: interested in ["tea carted"], not []`)
}
