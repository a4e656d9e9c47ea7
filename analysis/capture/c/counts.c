/* Histograms of a tensor's values: of all, or of those drawn. */

#include <math.h>

#include "team.h"

enum { BLOCK = 256 }; /* values whose bins are worked out together */
enum { FETCH = 8 };   /* times as long takes a value out of the row */

static uint32_t *tables_of(const Work *work, int64_t share) {
  return work->team->tables + share * TABLES * work->view->columns->bins;
}

static void tally(const int32_t *cells, int64_t n, uint32_t *tables, int64_t bins) {
  int64_t i = 0;
  for (; i + TABLES <= n; i += TABLES)
    for (int t = 0; t < TABLES; ++t) ++tables[t * bins + cells[i + t]];
  for (; i < n; ++i) ++tables[cells[i]];
}

/* Exact, since bins are powers of two wide: -1e-30 is left of 0, and 256 - 1e-30 is 256. */
static int32_t cell(float x, const Columns *to) {
  return (int32_t)(floor(x * to->inverse) - to->start);
}

static void count_run(const float *x, int64_t n, const Columns *to, uint32_t *tables) {
  int32_t cells[BLOCK];
  for (; n > 0; n -= BLOCK, x += BLOCK) {
    int64_t some = n < BLOCK ? n : BLOCK;
    for (int64_t i = 0; i < some; ++i) cells[i] = cell(x[i], to);
    tally(cells, some, tables, to->bins);
  }
}

/* The meant values lie in runs of one length, one stride apart. */
static void count_all(const Work *work, int64_t at, int64_t end, int64_t share) {
  const View *v = work->view;
  uint32_t *tables = tables_of(work, share);
  int64_t width = v->last - v->first;
  int64_t length = v->planes ? width * v->size : width;
  int64_t stride = v->planes ? v->channels * v->size : v->channels;
  const float *x = work->x + (v->planes ? v->first * v->size : v->first);
  if (width == v->channels) length = stride = work->units;
  while (at < end) {
    int64_t inside = at % length, left = length - inside;
    int64_t n = left < end - at ? left : end - at;
    count_run(x + at / length * stride + inside, n, v->columns, tables);
    at += n;
  }
}

static void count_drawn(const Work *work, int64_t first, int64_t last, int64_t share) {
  const View *v = work->view;
  uint32_t *tables = tables_of(work, share);
  int32_t cells[BLOCK];
  for (int64_t n = first; n < last; ++n) {
    const float *x = work->x + n * v->channels * v->size;
    const int32_t *drawn = v->positions + n * v->drawn;
    for (int64_t at = 0; at < v->drawn; at += BLOCK) {
      int64_t some = v->drawn - at < BLOCK ? v->drawn - at : BLOCK;
      for (int64_t j = 0; j < some; ++j) cells[j] = cell(x[drawn[at + j]], v->columns);
      tally(cells, some, tables, v->columns->bins);
    }
  }
}

/* Adds up what the threads have counted. */
static void add(const View *v, const Team *t, int64_t step, int64_t threads) {
  int64_t bins = v->columns->bins, tables = threads * TABLES;
  uint32_t *restrict counts = v->columns->counts + step * bins;
  for (int64_t i = 0; i < tables; ++i)
    for (int64_t b = 0; b < bins; ++b) counts[b] += t->tables[i * bins + b];
  memset(t->tables, 0, (size_t)(tables * bins) * sizeof *t->tables);
}

/* Counts the drawn values that were set aside, too few for a second thread. */
void count_picked(const View *v, int64_t step, const Team *t) {
  count_run(t->picked, v->samples * v->drawn, v->columns, t->tables);
  add(v, t, step, 1);
}

/* Counts the meant values of x, which must lie inside the bins. */
void count(const View *v, const float *x, int64_t step, const Team *t) {
  int64_t all = v->samples * v->size * (v->last - v->first);
  int64_t units = v->positions ? v->samples : all;
  Work work = {v->positions ? count_drawn : count_all, v, x, t, units, {0}};
  add(v, t, step, run(&work, v->positions ? units * v->drawn * FETCH : all));
}
