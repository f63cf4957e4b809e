package main

import (
	"fmt"
	"net"
)

// serviceManager tells systemd how the program is doing (sd_notify(3)): a unit of Type=notify counts
// as started when it serves. Where nobody asked to be told it does nothing.
type serviceManager struct{ socket string }

const (
	managerReady    = "READY=1"
	managerStopping = "STOPPING=1"
)

func newServiceManager(env []string) serviceManager {
	return serviceManager{socket: lookupEnv(env, "NOTIFY_SOCKET")}
}

func (m serviceManager) tell(state string) error {
	if m.socket == "" {
		return nil
	}
	// A name that begins with @ is in the abstract namespace; package net knows it too.
	conn, err := net.Dial("unixgram", m.socket)
	if err != nil {
		return fmt.Errorf("tell the service manager %s: %w", state, err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("tell the service manager %s: %w", state, err)
	}
	return nil
}
