/* The host's side of host.h in WebAssembly. */
#include "host.h"

__attribute__((import_module("host"), import_name("line"))) void host_line_import(const char *text);
void host_line(const char *text) { host_line_import(text); }
