package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

func newKeysHash(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "hash",
		Short:   "Read a key on standard input and print the sha256:… that gateway.yaml takes",
		Example: `  postern keys hash < key.txt`,
		Args:    exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			const longest = 4096
			line, err := bufio.NewReader(io.LimitReader(g.in, longest+2)).ReadString('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				return fmt.Errorf("read the key: %w", err)
			}
			text := strings.TrimRight(line, "\r\n")
			if text == "" || len(text) > longest {
				return usageError("standard input must hold one key on one line, at most %d bytes", longest)
			}
			sum := sha256.Sum256([]byte(text))
			_, err = fmt.Fprintln(g.out, "sha256:"+hex.EncodeToString(sum[:]))
			return err
		},
	}
}
