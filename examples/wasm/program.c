/*
 * A program as programs are: it keeps a town's register in an SQL database, and allocates as that takes. Nothing in it knows
 * where its memory comes from. Each year some people move in, some move away, and the year's report is written, line by line.
 * The same seed gives the same lines, whatever machine it is compiled for.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "sqlite3.h"

static uint32_t state;

/* Numbers that are the same everywhere: Marsaglia's xorshift. */
static uint32_t draw(uint32_t below) {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state % below;
}

static const char *const FIRST[] = {"Ada", "Bela", "Cem", "Dora", "Emil", "Fanni", "Goran", "Hana", "Ivo", "Jana", "Kofi", "Lena"};
static const char *const LAST[] = {"Arnold", "Berger", "Castro", "Dvorak", "Endo", "Fekete", "Garcia", "Horvat", "Ito", "Jansen"};
static const char *const STREET[] = {"Harbour Road", "Mill Lane", "Station Street", "Church Hill", "Long Walk", "Market Square"};
static const char *const TRADE[] = {"baker", "carpenter", "doctor", "engineer", "farmer", "gardener", "hatter", "teacher"};
#define PICK(list) (list)[draw(sizeof(list) / sizeof((list)[0]))]

static int fail(sqlite3 *db, const char *what) {
  char line[256];
  snprintf(line, sizeof line, "error: %s: %s", what, db ? sqlite3_errmsg(db) : "no memory");
  host_line(line);
  return 1;
}

static int run(sqlite3 *db, const char *sql) {
  char *message = NULL;
  if (sqlite3_exec(db, sql, NULL, NULL, &message) == SQLITE_OK) return 0;
  sqlite3_free(message);
  return fail(db, sql);
}

/* A note of some words, of very different lengths, grown word by word as careless programs do. */
static char *write_note(void) {
  uint32_t words = draw(100) == 0 ? 400 + draw(2000) : 2 + draw(30);
  size_t length = 0;
  char *note = NULL;
  for (uint32_t i = 0; i < words; i++) {
    const char *word = draw(2) ? PICK(TRADE) : PICK(STREET);
    size_t bytes = strlen(word);
    char *longer = realloc(note, length + bytes + 2);
    if (longer == NULL) {
      free(note);
      return NULL;
    }
    note = longer;
    memcpy(note + length, word, bytes);
    length += bytes;
    note[length++] = ' ';
    note[length] = 0;
  }
  return note;
}

static int move_in(sqlite3 *db, int year, int people) {
  sqlite3_stmt *insert;
  if (sqlite3_prepare_v2(db, "INSERT INTO person(name, born, street, trade, since, note) VALUES(?,?,?,?,?,?)", -1, &insert, NULL)) {
    return fail(db, "prepare");
  }
  int wrong = run(db, "BEGIN");
  for (int i = 0; i < people && !wrong; i++) {
    char name[64];
    /* One draw a statement: the order of arguments is the compiler's. */
    const char *first = PICK(FIRST);
    const char *last = PICK(LAST);
    snprintf(name, sizeof name, "%s %s", first, last);
    char *note = write_note();
    if (note == NULL) {
      wrong = fail(NULL, "note");
      break;
    }
    sqlite3_bind_text(insert, 1, name, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int(insert, 2, year - (int)draw(90));
    sqlite3_bind_text(insert, 3, PICK(STREET), -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 4, PICK(TRADE), -1, SQLITE_STATIC);
    sqlite3_bind_int(insert, 5, year);
    sqlite3_bind_text(insert, 6, note, -1, free);
    if (sqlite3_step(insert) != SQLITE_DONE) wrong = fail(db, "insert");
    sqlite3_reset(insert);
  }
  if (!wrong) wrong = run(db, "COMMIT");
  sqlite3_finalize(insert);
  return wrong;
}

static int move_away(sqlite3 *db, int year) {
  char *sql = sqlite3_mprintf("DELETE FROM person WHERE (id * 2654435761 + %d) %% 5 < 2 AND since < %d", year, year);
  if (sql == NULL) return fail(NULL, "move away");
  int wrong = run(db, sql);
  sqlite3_free(sql);
  return wrong;
}

static int change(sqlite3 *db, int year) {
  char *sql = sqlite3_mprintf(
      "UPDATE person SET street = %Q, note = note || %Q || substr(note, 1, 40) WHERE (id + %d) %% 7 = 0", PICK(STREET),
      " moved in the town; ", year);
  if (sql == NULL) return fail(NULL, "change");
  int wrong = run(db, sql);
  sqlite3_free(sql);
  return wrong;
}

static const char *const QUESTION[] = {
    "SELECT 'people', count(*), sum(length(note)), min(born), max(born) FROM person",
    "SELECT street, count(*), avg(born) FROM person GROUP BY street ORDER BY 2 DESC, 1",
    "SELECT p.name, count(*) FROM person p JOIN person q ON p.name = q.name AND p.id < q.id GROUP BY p.name ORDER BY 2 DESC, 1 LIMIT 3",
    "SELECT trade, length(group_concat(name)), max(length(note)) FROM person GROUP BY trade ORDER BY trade",
    "SELECT name, born FROM person ORDER BY substr(note, 3, 12), id LIMIT 3",
    "SELECT since, json_group_array(DISTINCT trade) FROM person WHERE born > 1950 GROUP BY since ORDER BY since DESC LIMIT 2",
    "WITH RECURSIVE walk(n, id) AS (SELECT 1, min(id) FROM person UNION ALL SELECT n + 1, (SELECT min(id) FROM person WHERE id > walk.id + n)"
    " FROM walk WHERE id IS NOT NULL AND n < 50) SELECT count(*), max(n), sum(id) FROM walk",
    "SELECT rank, name FROM (SELECT name, dense_rank() OVER (PARTITION BY street ORDER BY born, id) AS rank, id FROM person)"
    " WHERE rank <= 2 ORDER BY rank, id LIMIT 4",
};

static int answer(sqlite3 *db, int year, const char *question) {
  sqlite3_stmt *query;
  if (sqlite3_prepare_v2(db, question, -1, &query, NULL)) return fail(db, question);
  int step;
  while ((step = sqlite3_step(query)) == SQLITE_ROW) {
    /* The line grows as its columns come. */
    size_t length = 0;
    char *line = calloc(1, 16);
    if (line == NULL) break;
    length = (size_t)snprintf(line, 16, "%d", year);
    for (int i = 0; i < sqlite3_column_count(query) && line != NULL; i++) {
      const char *text = (const char *)sqlite3_column_text(query, i);
      size_t bytes = text ? strlen(text) : 0;
      char *longer = realloc(line, length + bytes + 4);
      if (longer == NULL) free(line);
      line = longer;
      if (line == NULL) break;
      line[length++] = '|';
      if (bytes) memcpy(line + length, text, bytes);
      length += bytes;
      line[length] = 0;
    }
    if (line == NULL) break;
    host_line(line);
    free(line);
  }
  sqlite3_finalize(query);
  return step == SQLITE_DONE ? 0 : fail(db, question);
}

/* Keeps the register for some years. Returns 0 when all went well. */
int keep_register(uint32_t seed, int years, int people) {
  sqlite3 *db = NULL;
  state = seed * 2654435769u + 1;
  if (sqlite3_initialize() || sqlite3_open(":memory:", &db)) return fail(db, "open");
  int wrong = run(db,
                  "CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT, born INT, street TEXT, trade TEXT, since INT, note TEXT);"
                  "CREATE INDEX by_name ON person(name, born); CREATE INDEX by_street ON person(street, trade);");
  for (int year = 2000; year < 2000 + years && !wrong; year++) {
    wrong = move_in(db, year, people) || move_away(db, year) || change(db, year);
    for (size_t i = 0; i < sizeof QUESTION / sizeof QUESTION[0] && !wrong; i++) wrong = answer(db, year, QUESTION[i]);
    if (!wrong && year % 4 == 3) wrong = run(db, "VACUUM");
  }
  if (!wrong) wrong = run(db, "PRAGMA integrity_check");
  if (sqlite3_close(db) != SQLITE_OK) wrong = 1;
  sqlite3_shutdown();
  return wrong;
}
