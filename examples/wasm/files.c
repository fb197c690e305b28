/*
 * The operating system that SQLite sees: one without files. Databases live in memory, so it has to know only the time, which
 * stands still, and randomness, which is none, so that every run is the same.
 */
#include <string.h>

#include "sqlite3.h"

static int open_none(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out) {
  (void)vfs, (void)name, (void)flags, (void)out;
  file->pMethods = NULL;
  return SQLITE_CANTOPEN;
}
static int delete_none(sqlite3_vfs *vfs, const char *name, int sync) {
  (void)vfs, (void)name, (void)sync;
  return SQLITE_OK;
}
static int access_none(sqlite3_vfs *vfs, const char *name, int flags, int *out) {
  (void)vfs, (void)name, (void)flags;
  *out = 0;
  return SQLITE_OK;
}
static int full_name(sqlite3_vfs *vfs, const char *name, int bytes, char *out) {
  (void)vfs;
  return (int)strlen(sqlite3_snprintf(bytes, out, "%s", name)) < bytes ? SQLITE_OK : SQLITE_CANTOPEN;
}
static int randomness(sqlite3_vfs *vfs, int bytes, char *out) {
  (void)vfs;
  memset(out, 7, (size_t)bytes);
  return bytes;
}
static int sleep_not(sqlite3_vfs *vfs, int microseconds) {
  (void)vfs;
  return microseconds;
}
static int time_now(sqlite3_vfs *vfs, double *days) {
  (void)vfs;
  *days = 2451544.5;
  return SQLITE_OK;
}

int sqlite3_os_init(void) {
  static sqlite3_vfs none = {.iVersion = 1,
                             .szOsFile = sizeof(sqlite3_file),
                             .mxPathname = 64,
                             .zName = "none",
                             .xOpen = open_none,
                             .xDelete = delete_none,
                             .xAccess = access_none,
                             .xFullPathname = full_name,
                             .xRandomness = randomness,
                             .xSleep = sleep_not,
                             .xCurrentTime = time_now};
  return sqlite3_vfs_register(&none, 1);
}
int sqlite3_os_end(void) { return SQLITE_OK; }
