package flink

import (
	"encoding/binary"
	"os"
	"path/filepath"
)

// driver is the main class of Beam's job server. Its launcher is called so too:
// who looks for the process finds it by this name.
const driver = "org/apache/beam/runners/flink/FlinkJobServerDriver"

// launcher is the class that hides the jars of a job server from it: Beam takes
// all that the property java.class.path names for what a job needs and stages
// it, and has no option to leave that out (PipelineResources of 2.62.0). By then
// the JVM's own class path is fixed. The class is
//
//	class FlinkJobServerDriver {
//	    public static void main(String[] args) {
//	        System.setProperty("java.class.path", "");
//	        org.apache.beam.runners.flink.FlinkJobServerDriver.main(args);
//	    }
//	}
const launcher = "harrow/FlinkJobServerDriver"

// writeLauncher writes the launcher below a folder of a class path. A class of
// two calls takes no compiler, which whoever runs Java need not have.
func writeLauncher(classes string) error {
	file := filepath.Join(classes, launcher+".class")
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return err
	}
	return os.WriteFile(file, launcherClass(), 0o666)
}

// launcherClass is the class in the format of The Java Virtual Machine
// Specification, chapter 4; version 52 is Java 8's.
func launcherClass() []byte {
	var c constants
	own, object := c.class(launcher), c.class("java/lang/Object")
	name, value := c.text("java.class.path"), c.text("")
	set := c.method("java/lang/System", "setProperty", "(Ljava/lang/String;Ljava/lang/String;)Ljava/lang/String;")
	const mains = "([Ljava/lang/String;)V"
	run := c.method(driver, "main", mains)
	main, descriptor, attribute := c.utf8("main"), c.utf8(mains), c.utf8("Code")

	code := []byte{0x12, byte(name), 0x12, byte(value)}                       // ldc, ldc
	code = binary.BigEndian.AppendUint16(append(code, 0xb8), set)             // invokestatic
	code = binary.BigEndian.AppendUint16(append(code, 0x57, 0x2a, 0xb8), run) // pop, aload_0, invokestatic
	code = append(code, 0xb1)                                                 // return

	out := binary.BigEndian.AppendUint32(nil, 0xcafebabe)
	out = shorts(out, 0, 52, c.count+1)
	out = append(out, c.pool...)
	out = shorts(out, 0x21, own, object, 0, 0, 1) // public super; no interfaces, no fields, one method
	out = shorts(out, 0x9, main, descriptor, 1)   // public static, with one attribute
	out = binary.BigEndian.AppendUint32(shorts(out, attribute), uint32(12+len(code)))
	out = binary.BigEndian.AppendUint32(shorts(out, 2, 1), uint32(len(code))) // stack, locals
	out = append(out, code...)
	return shorts(out, 0, 0, 0) // no exceptions, no attributes of the code, none of the class
}

func shorts(b []byte, values ...uint16) []byte {
	for _, v := range values {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return b
}

// constants is a constant pool (4.4) that grows.
type constants struct {
	pool  []byte
	count uint16
}

func (c *constants) add(entry []byte) (index uint16) {
	c.pool = append(c.pool, entry...)
	c.count++
	return c.count
}

func (c *constants) utf8(text string) uint16 {
	return c.add(append(shorts([]byte{1}, uint16(len(text))), text...))
}
func (c *constants) class(name string) uint16 { return c.add(shorts([]byte{7}, c.utf8(name))) }
func (c *constants) text(text string) uint16  { return c.add(shorts([]byte{8}, c.utf8(text))) }

func (c *constants) method(class, name, descriptor string) uint16 {
	of := c.class(class)
	named := c.add(shorts([]byte{12}, c.utf8(name), c.utf8(descriptor)))
	return c.add(shorts([]byte{10}, of, named))
}
