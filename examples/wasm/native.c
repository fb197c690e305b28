/* The program as a process of its own, on this machine's malloc: what the other one is compared with. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "host.h"

int keep_register(uint32_t seed, int years, int people);

void host_line(const char *text) { puts(text); }

int main(int count, char **word) {
  if (count != 4) {
    fprintf(stderr, "usage: %s seed years people\n", word[0]);
    return 2;
  }
  return keep_register((uint32_t)atoi(word[1]), atoi(word[2]), atoi(word[3]));
}
