module github.com/onepx/onepx/tools

go 1.26

require github.com/onepx/onepx/proto v0.0.0

replace github.com/onepx/onepx/proto => ../proto
