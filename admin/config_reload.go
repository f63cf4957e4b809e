package admin

import (
	"context"

	"postern/internal/keys"
)

const reloadConfigDoc = "Reads gateway.yaml again and puts it in force between two requests. With a problem anywhere in it nothing changes, " +
	"and the answer is 422 with every problem and its line. Settings that are read at the start only are named in restart_needed."

type reloadedOutput struct{ Body Reloaded }

func (s *server) reloadConfig(ctx context.Context, a keys.Actor, _ *declaredInput) (*reloadedOutput, error) {
	done, err := s.Configuration.Reload(ctx, a)
	if err != nil {
		return nil, err
	}
	done.Changed, done.RestartNeeded, done.Warnings = notNil(done.Changed), notNil(done.RestartNeeded), notNil(done.Warnings)
	return &reloadedOutput{Body: done}, nil
}
