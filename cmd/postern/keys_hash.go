package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/spf13/cobra"
)

func newKeysHash(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "hash",
		Short:   "Read a key on standard input and print the sha256:… that gateway.yaml takes",
		Example: `  postern keys hash < key.txt`,
		Args:    exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			text, err := readSecretLine(g.in)
			if err != nil {
				return err
			}
			sum := sha256.Sum256([]byte(text))
			_, err = fmt.Fprintln(g.out, "sha256:"+hex.EncodeToString(sum[:]))
			return err
		},
	}
}
