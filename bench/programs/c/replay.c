/*
 * Replays a trace on the C library's malloc: what the same operations take, and how much memory they hold, natively.
 *
 * Arguments: a file of 32-bit words {operations, objects}, then four words an operation: kind (0 alloc, 1 free, 2 realloc), the
 * object, its bytes, the object it is made from. "held" as a second argument: prints the most bytes that malloc has had from the
 * system, after one pass; else each line read from the standard input makes a pass, whose nanoseconds are printed. What a pass
 * leaves is freed before the next one, outside the time.
 */
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WORDS 4
#define LOOK_EVERY 64

static int32_t *words;
static int32_t operations, objects;
static void **address;

static void perform(const int32_t *op) {
  switch (op[0]) {
    case 0:
      address[op[1]] = malloc((size_t)op[2]);
      break;
    case 1:
      free(address[op[1]]);
      address[op[1]] = NULL;
      break;
    default:
      address[op[1]] = realloc(address[op[3]], (size_t)op[2]);
      address[op[3]] = NULL;
  }
}

static void clear(void) {
  for (int32_t i = 0; i < objects; i++) {
    free(address[i]);
    address[i] = NULL;
  }
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static size_t held(void) {
  struct mallinfo2 info = mallinfo2();
  return info.arena + info.hblkhd;
}

static int load(const char *path) {
  int32_t head[2];
  FILE *file = fopen(path, "rb");
  if (file == NULL || fread(head, sizeof head, 1, file) != 1) return 1;
  operations = head[0];
  objects = head[1];
  size_t count = (size_t)operations * WORDS;
  words = malloc(count * sizeof *words);
  address = calloc((size_t)objects, sizeof *address);
  int wrong = words == NULL || address == NULL || fread(words, sizeof *words, count, file) != count;
  fclose(file);
  return wrong;
}

int main(int count, char **argument) {
  if (count < 2 || load(argument[1])) {
    fprintf(stderr, "usage: %s file [held]\n", argument[0]);
    return 2;
  }
  if (count > 2 && strcmp(argument[2], "held") == 0) {
    size_t before = held(), most = 0;
    for (int32_t i = 0; i < operations; i++) {
      perform(words + (size_t)i * WORDS);
      if (i % LOOK_EVERY) continue;
      size_t bytes = held() - before;
      if (bytes > most) most = bytes;
    }
    printf("%zu\n", most);
    return 0;
  }
  char line[16];
  while (fgets(line, sizeof line, stdin) != NULL) {
    double start = now();
    for (int32_t i = 0; i < operations; i++) perform(words + (size_t)i * WORDS);
    printf("%.0f\n", now() - start);
    fflush(stdout);
    clear();
  }
  return 0;
}
