// A clock for redis-server: the real one plus as many seconds as the file of CLOCK_SHIFT says. Preloaded
// by a test. (libfaketime 0.9.10 and redis-server with jemalloc wait for each other when they start.)
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

int gettimeofday(struct timeval *tv, void *tz) {
	char text[32] = "";
	int result = syscall(SYS_gettimeofday, tv, tz);
	int file = open(getenv("CLOCK_SHIFT"), O_RDONLY);
	if (file >= 0) {
		if (read(file, text, sizeof text - 1) > 0) tv->tv_sec += atol(text);
		close(file);
	}
	return result;
}
