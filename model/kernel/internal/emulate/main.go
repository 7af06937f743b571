//go:build linux

// Command emulate is process 1 of the emulated machine that emulate.sh starts: it
// says which vector instructions the processor has, runs the commands of the file
// /jobs (directory, command and arguments on a line) one after the other, and
// leaves the emulator.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	for _, m := range [][2]string{{"proc", "/proc"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}} {
		if err := unix.Mount(m[0], m[1], m[0], 0, ""); err != nil {
			fmt.Println("mount", m[1], err)
		}
	}
	info, _ := os.ReadFile("/proc/cpuinfo")
	for _, flag := range strings.Fields(string(info)) {
		if strings.HasPrefix(flag, "avx") {
			fmt.Print(flag, " ")
		}
	}
	fmt.Println()
	jobs, err := os.ReadFile("/jobs")
	if err != nil {
		fmt.Println(err)
	}
	ran, failed := 0, 0
	for line := range strings.Lines(string(jobs)) {
		f := strings.Fields(line)
		c := exec.Command(f[1], f[2:]...)
		c.Dir, c.Stdout, c.Stderr = f[0], os.Stdout, os.Stderr
		c.Env = []string{"TMPDIR=/tmp", "SOTTO_KERNEL=avx512"}
		ran++
		if err := c.Run(); err != nil {
			fmt.Println(line, err)
			failed++
		}
	}
	fmt.Printf("emulated: %d ran, %d failed\n", ran, failed)
	leave()
}

// leave ends Bochs, which waits for this word on a port of its own.
func leave() {
	// What was printed must have passed the serial line: this is tcdrain(3).
	_ = unix.IoctlSetInt(1, unix.TCSBRK, 1)
	port, err := os.OpenFile("/dev/port", os.O_WRONLY, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, b := range []byte("Shutdown") {
		_, _ = port.WriteAt([]byte{b}, 0x8900)
	}
}
