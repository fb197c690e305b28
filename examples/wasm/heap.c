/*
 * The C library's allocation, from zalloc. An object file goes before an archive, so these take the place of the C library's own
 * for the whole program, for the library's other functions too. errno is not set: nothing here reads it.
 */
#include <stddef.h>

#define FROM_ZALLOC(name) __attribute__((import_module("zalloc"), import_name(#name)))

FROM_ZALLOC(malloc) void *zalloc_malloc(size_t size);
FROM_ZALLOC(calloc) void *zalloc_calloc(size_t count, size_t size);
FROM_ZALLOC(realloc) void *zalloc_realloc(void *p, size_t size);
FROM_ZALLOC(free) void zalloc_free(void *p);
FROM_ZALLOC(aligned_alloc) void *zalloc_aligned_alloc(size_t align, size_t size);
FROM_ZALLOC(malloc_usable_size) size_t zalloc_malloc_usable_size(void *p);

void *malloc(size_t size) { return zalloc_malloc(size); }
void *calloc(size_t count, size_t size) { return zalloc_calloc(count, size); }
void *realloc(void *p, size_t size) { return zalloc_realloc(p, size); }
void free(void *p) { zalloc_free(p); }
void *aligned_alloc(size_t align, size_t size) { return zalloc_aligned_alloc(align, size); }
size_t malloc_usable_size(void *p) { return zalloc_malloc_usable_size(p); }
