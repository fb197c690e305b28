/* What the program needs of where it runs, besides the C library. */
#ifndef HOST_H
#define HOST_H

/* Writes one line of the report. */
void host_line(const char *text);

#endif
