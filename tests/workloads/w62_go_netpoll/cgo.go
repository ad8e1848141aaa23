//go:build cgo

package main

/*
#include <unistd.h>
static void pause_in_c(int microseconds) { usleep(microseconds); }
*/
import "C"

func inC() {
	defer enter("inC")()
	C.pause_in_c(80000)
}
