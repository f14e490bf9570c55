package main

import (
	"context"
	"errors"
)

func memoryBench(context.Context, *world) (report, error) { return report{}, errors.New("not there yet") }
