package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"postern/config"
	"postern/internal/keys"
)

// plannedSecret is one of the two secrets that a restored installation will have.
type plannedSecret struct {
	setting string
	ref     config.Ref
	text    []byte
	write   bool // it is the backup's, and its file is missing or another one
	aside   bool // there is another one, which is kept under another name
}

// openSecrets finds the secrets that belong to the backup, and has check try them: those of the
// installation where they fit, else, where the backup has some, those of the backup. It writes nothing.
func (r *restoration) openSecrets(check func(*keys.Vault) error) error {
	try := func(planned []plannedSecret) error {
		vault, err := keys.OpenVault(planned[0].text, planned[1].text)
		if err != nil {
			return err
		}
		if check != nil {
			if err := check(vault); err != nil {
				return err
			}
		}
		r.vault, r.secrets = vault, planned
		return nil
	}
	here, err := r.planSecrets(false)
	if err == nil {
		if err = try(here); err == nil {
			return nil
		}
	}
	foreign := errors.Is(err, keys.ErrForeignPepper) || errors.Is(err, keys.ErrForeignKeyset)
	if foreign && r.manifest.Secrets && r.force {
		saved, planErr := r.planSecrets(true)
		if planErr != nil {
			return planErr
		}
		return try(saved)
	}
	if foreign {
		next := "Put this backup's own pepper and keyset where the configuration looks for them. Nothing was changed."
		if r.manifest.Secrets {
			next = "The backup holds its own secrets: with --force they replace those here, which are kept under another name. Nothing was changed."
		}
		return &failure{code: exitFailed, err: err, next: next}
	}
	return err
}

// planSecrets takes each secret from where the configuration says, and one that is missing there, or
// any if saved is set, from the backup.
func (r *restoration) planSecrets(saved bool) ([]plannedSecret, error) {
	var planned []plannedSecret
	for _, s := range []struct {
		setting, part string
		ref           config.Ref
	}{{"secrets.pepper", partPepper, r.cfg.Secrets.Pepper}, {"secrets.keyset", partKeyset, r.cfg.Secrets.Keyset}} {
		p := plannedSecret{setting: s.setting, ref: s.ref}
		here, readErr := readSecret(s.setting, s.ref, r.g.env)
		part := r.manifest.part(s.part)
		if readErr == nil && (!saved || part == nil) {
			p.text = here
			planned = append(planned, p)
			continue
		}
		if part == nil {
			return nil, readErr
		}
		text, err := os.ReadFile(part.path)
		if err != nil {
			return nil, fmt.Errorf("read %s of the backup: %w", s.part, err)
		}
		p.text = text
		if !bytes.Equal(here, text) {
			if s.ref.File == "" {
				return nil, &failure{code: exitFailed, err: fmt.Errorf("%s is kept in the variable %s, which does not hold the backup's", s.setting, s.ref.Env),
					next: fmt.Sprintf("Set it to what the backup holds (tar -xOf FILE %s), and restore again. Nothing was changed.", s.part)}
			}
			p.write, p.aside = true, readErr == nil
		}
		planned = append(planned, p)
	}
	return planned, nil
}

// placeSecrets writes those secrets that the backup brought.
func (r *restoration) placeSecrets() error {
	for _, p := range r.secrets {
		if !p.write {
			continue
		}
		if p.aside {
			if err := os.Link(p.ref.File, p.ref.File+".before-restore-"+r.now.Format("20060102T150405.000Z")); err != nil {
				return fmt.Errorf("keep the old %s: %w", p.setting, err)
			}
		}
		if err := replaceFile(p.ref.File, p.text); err != nil {
			return err
		}
		r.warnings = append(r.warnings, fmt.Sprintf("%s was put back from the backup: %s", p.setting, p.ref.File))
	}
	return nil
}
