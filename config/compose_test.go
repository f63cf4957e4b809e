package config_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"postern/config"
)

// TestClusterCompose holds what can be known of the compose file without a container engine: that it is YAML, that
// every name in it is declared, and that each gateway's configuration loads and is the same.
func TestClusterCompose(t *testing.T) {
	text, err := os.ReadFile("../examples/cluster/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Image       string
			Environment map[string]string
			Volumes     []string
			Ports       []string
			DependsOn   map[string]any `yaml:"depends_on"`
			Healthcheck map[string]any
		}
		Volumes map[string]any
	}
	if err := yaml.Unmarshal([]byte(strings.NewReplacer("${PASSWORD:?write it into .env}", "s3cret", "${PASSWORD}", "s3cret").Replace(string(text))), &file); err != nil {
		t.Fatal(err)
	}
	var gateways, nodes, folders, ports []string
	for name, s := range file.Services {
		for other := range s.DependsOn {
			if _, there := file.Services[other]; !there {
				t.Errorf("%s depends on %s, which is not there", name, other)
			}
		}
		for _, v := range s.Volumes {
			from, to, _ := strings.Cut(v, ":")
			if _, there := file.Volumes[from]; !there && !strings.HasPrefix(from, "./") {
				t.Errorf("%s has the volume %s, which is not declared", name, from)
			}
			if to == "/data" && strings.HasPrefix(name, "gateway") {
				folders = append(folders, from)
			}
		}
		if !strings.HasPrefix(name, "gateway") && name != "init" {
			continue
		}
		env := []string{"POSTERN_DATA_DIR=/data"}
		for variable, value := range s.Environment {
			env = append(env, variable+"="+value)
		}
		c, warnings, err := config.Load("../examples/cluster/gateway.yaml", config.LoadOptions{Env: env})
		if err != nil || len(warnings) > 0 {
			t.Fatalf("%s: %v %v", name, err, warnings)
		}
		if targets := c.Routes["main"].Upstream.Targets; len(targets) != 1 || targets[0].Host != "api:9000" {
			t.Errorf("%s sends to %v, and the API is the service api", name, targets)
		}
		if !strings.HasPrefix(c.Secrets.Pepper.File, "/secrets/") || !strings.HasPrefix(c.Secrets.Keyset.File, "/secrets/") {
			t.Errorf("%s has its secrets in %s and %s, and the volume is /secrets", name, c.Secrets.Pepper.File, c.Secrets.Keyset.File)
		}
		if name != "init" {
			gateways, nodes, ports = append(gateways, name), append(nodes, string(c.Node.ID)), append(ports, s.Ports...)
		}
	}
	for what, list := range map[string][]string{"gateways": gateways, "node ids": nodes, "data volumes": folders, "ports": ports} {
		slices.Sort(list)
		if len(slices.Compact(list)) != 3 {
			t.Errorf("%s: got %v, want three", what, list)
		}
	}
	if !slices.Equal(gateways, nodes) {
		t.Errorf("gateways %v call themselves %v", gateways, nodes)
	}
}
