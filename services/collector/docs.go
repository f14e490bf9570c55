package main

// docsCmd writes the reference pages that are made from the code.
type docsCmd struct {
	Dir string `help:"Folder to write to." default:"docs"`
}

// Run writes the pages.
func (c *docsCmd) Run() error { return nil }
