package main

// docsCmd is the hidden command that writes the generated pages.
type docsCmd struct {
	Dir string `required:"" type:"existingdir" help:"Folder of the pages."`
}

// Run is `consumer docs`.
func (c *docsCmd) Run() error { return nil }
