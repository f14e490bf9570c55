module github.com/onepx/onepx/tools

go 1.26.0

require (
	github.com/onepx/onepx/proto v0.0.0
	github.com/stretchr/testify v1.12.1
	github.com/yuin/goldmark v1.8.7
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect

replace github.com/onepx/onepx/proto => ../proto
