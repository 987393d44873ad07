package flink

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

const loopbackAddr = "127.0.0.1"

// opens is what Flink reaches into on Java 17: env.java.opts.all of the
// config.yaml that Flink 1.19 is distributed with.
var opens = []string{
	"--add-exports=java.base/sun.net.util=ALL-UNNAMED", "--add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED",
	"--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
	"--add-opens=java.base/java.lang=ALL-UNNAMED", "--add-opens=java.base/java.net=ALL-UNNAMED",
	"--add-opens=java.base/java.io=ALL-UNNAMED", "--add-opens=java.base/java.nio=ALL-UNNAMED",
	"--add-opens=java.base/sun.nio.ch=ALL-UNNAMED", "--add-opens=java.base/java.lang.reflect=ALL-UNNAMED",
	"--add-opens=java.base/java.text=ALL-UNNAMED", "--add-opens=java.base/java.time=ALL-UNNAMED",
	"--add-opens=java.base/java.util=ALL-UNNAMED", "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
	"--add-opens=java.base/java.util.concurrent.atomic=ALL-UNNAMED", "--add-opens=java.base/java.util.concurrent.locks=ALL-UNNAMED",
}

// metaspace bounds a JVM's classes, in MiB: to a bare cluster each job brings its
// own.
const metaspace = 256

// A JVM that works on, and one that starts, hands a job on and waits: half of
// the CPU of the latter's start would be the better compiler's and the
// collector's threads.
var (
	lasting = []string{"-XX:+UseG1GC"}
	brief   = []string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}
)

// jvm are the options of a Java process with so many MiB of heap and of direct
// memory. It ends when memory does, rather than going on without a thread that
// died of it; it leaves nothing outside of tmp when it is killed.
func jvm(kind []string, heap, direct int, tmp string) []string {
	return slices.Concat(kind, []string{
		fmt.Sprintf("-Xmx%dm", heap), fmt.Sprintf("-XX:MaxDirectMemorySize=%dm", direct), fmt.Sprintf("-XX:MaxMetaspaceSize=%dm", metaspace),
		"-XX:+ExitOnOutOfMemoryError", "-XX:-UsePerfData", "-Djava.io.tmpdir=" + tmp,
		"-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSX",
	}, opens)
}

// writeConf writes a folder that Flink reads its configuration from. Later
// options win.
func writeConf(dir string, options ...map[string]string) error {
	all := map[string]string{}
	for _, o := range options {
		maps.Copy(all, o)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	var text bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(all)) {
		key, err := json.Marshal(name) // strings of JSON are strings of YAML
		if err != nil {
			return err
		}
		value, err := json.Marshal(all[name])
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%s: %s\n", key, value)
	}
	return os.WriteFile(filepath.Join(dir, "config.yaml"), text.Bytes(), 0o666)
}
