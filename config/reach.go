package config

// Reach is Load for those who only look for the gateway that runs by a file: of the answer only
// DataDir, Listen, Admin and Store count. Problems elsewhere in the file are passed over, because a
// gateway serves on while its file is broken, and must be found then too.
func Reach(path string, o LoadOptions) (*Config, error) {
	text, err := readFile(path)
	if err != nil {
		_, _, err = Load(path, o)
		return nil, err
	}
	d, c, err := decode(path, text, o)
	if err != nil {
		return nil, err
	}
	if d.root == nil {
		return nil, d.err()
	}
	for _, needed := range []string{"version", "data_dir", "listen", "admin", "store"} {
		// A client's environment need not have the store's address.
		if d.broken(needed) && (needed != "store" || c.Store.None()) {
			return nil, d.err()
		}
	}
	return c, nil
}
