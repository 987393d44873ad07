package flink

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Equipped reports whether a Flink process with that class path has the classes
// of Beam's runner itself, so that a job need not bring them: nil if all of its
// jars are there by their names, which say their versions, and no other jar of
// Beam's is. The error says what is amiss.
func Equipped(classPath []string) error {
	jars, err := parseList(list)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, entry := range classPath {
		there[filepath.Base(entry)] = true
	}
	var lacking []string
	for _, j := range jars {
		if name := j.name(); filepath.Dir(j.path) == beamFolder && !there[name] {
			lacking = append(lacking, name)
		}
		delete(there, j.name())
	}
	for name := range there {
		if strings.HasPrefix(name, "beam-") && strings.HasSuffix(name, ".jar") {
			return fmt.Errorf("%s is on its class path, which is not of Beam %s's runner", name, BeamVersion)
		}
	}
	if len(lacking) > 0 {
		// Beam's own say more than what they need.
		named := max(0, slices.IndexFunc(lacking, func(name string) bool { return strings.HasPrefix(name, "beam-runners-") }))
		return fmt.Errorf("%d of Beam's jars are not on its class path: %s", len(lacking), lacking[named])
	}
	return nil
}
