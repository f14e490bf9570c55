module github.com/onepx/onepx/services/consumer

go 1.26.0

require (
	github.com/onepx/onepx/proto v0.0.0
	github.com/onepx/onepx/services/shared v0.0.0
)

replace (
	github.com/onepx/onepx/proto => ../../proto
	github.com/onepx/onepx/services/shared => ../shared
)
