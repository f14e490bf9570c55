module github.com/onepx/onepx/proto

go 1.26
