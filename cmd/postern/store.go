package main

import (
	"github.com/spf13/cobra"
)

func newStore(g *globals) *cobra.Command {
	return group("store", "Move what is stored to another database", newStoreCopy(g))
}
