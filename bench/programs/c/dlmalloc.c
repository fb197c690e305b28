/* The C library's own allocator, called from outside: Doug Lea's malloc, in wasi-libc. */
#include <stdlib.h>

void *allocate(size_t size) { return malloc(size); }
void release(void *p) { free(p); }
