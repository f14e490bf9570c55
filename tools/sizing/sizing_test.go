package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatARateTakes(t *testing.T) {
	c := cli{Peak: 20_000, PerDay: 500e6, Days: 395, Copies: 2, CoreHour: 0.05, GBMonth: 0.1}
	require.NoError(t, c.Validate())
	n := c.need()
	require.EqualValues(t, 2, n.CollectorCores)
	require.EqualValues(t, 2, n.StoringCores)
	require.InDelta(t, 4168.5, n.KafkaGB, 0.1)
	require.InDelta(t, 54115, n.ClickHouseGB, 1)
	require.InDelta(t, (4*24*0.05+(4168.5+54115)*0.1/30)*2, n.Billion, 0.1)
}

func TestWhatIsNoRateIsRefused(t *testing.T) {
	good := cli{Peak: 1, PerDay: 1, Days: 1, Copies: 1}
	for name, change := range map[string]func(*cli){
		"no peak":              func(c *cli) { c.Peak = 0 },
		"no events":            func(c *cli) { c.PerDay = -1 },
		"no days":              func(c *cli) { c.Days = 0 },
		"a price that is owed": func(c *cli) { c.CoreHour = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			change(&c)
			require.Error(t, c.Validate())
		})
	}
}
