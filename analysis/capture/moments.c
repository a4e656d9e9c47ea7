/* All that a capture does with one tensor in this machine's memory, in one call.

   torch needs a pass for each of least, greatest, sum and sum of squares, and memory is what
   capturing waits for. Sums are taken about a center, in float over one sample's channel and in
   double beyond. The threads are those that torch has waiting; no result depends on their number. */

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "softmax.h"

enum { BROKEN = 1, OUTSIDE = 2 };  /* what observe() answers: no numbers; wider bins are needed */
enum { BLOCK = 256, TABLES = 4 };  /* neighbours often share a bin, so they count in turn */
enum { MOST = 256 };               /* threads */
enum { ALONE = 1 << 15 };          /* fewer values are not worth a second thread */
enum { LINE = 16, AHEAD = 32 * LINE }; /* how far on a plane is asked for */
enum { NEAR = 1 << 12 };           /* values just looked at, which the processor still has at hand */
enum { FETCH = 8 };                /* times as long takes a value out of the row */

/* Of every channel of the tensor last seen, [C]. */
typedef struct {
  float *low, *high;
  double *sum, *square;
  double center, next_center; /* what the sums are about, and what they will be */
  double far; /* a mean this many standard deviations off zero becomes the center */
  int64_t decided; /* whether any tensor was seen that could tell a center */
} Moments;

/* Running statistics of a layer over T timesteps. */
typedef struct {
  int64_t *count;
  double *mean, *m2;
  float *low, *high;            /* [T, C] */
  uint32_t *counts;             /* [T, B] */
  int64_t channels, bins;
  double inverse, start;        /* a value v lies in bin floor(v * inverse) - start */
  double reach_low, reach_high; /* what the bins cover */
  double least, greatest;       /* of all tensors, for who widens the bins */
} Columns;

/* A tensor as a layer sees it: which of its values are meant, and where they go. */
typedef struct {
  int64_t samples, channels, size, planes; /* [N, C, M] if planes, else [N, M, C] */
  int64_t first, last;                     /* channels that are meant */
  int64_t drawn;                           /* values counted of each sample */
  const int32_t *positions; /* [N, drawn] in the sample, rising; NULL: all are counted */
  Columns *columns;
  Moments *moments;
  const Attention *attention; /* planes are its probabilities [N, H, L * S]; NULL: they are stored */
} View;

/* GOMP_parallel and omp_get_thread_num of the very OpenMP library that torch uses: a second team
   of threads would fight its own for the cores. */
typedef struct {
  void (*parallel)(void (*)(void *), void *, unsigned, unsigned); /* NULL: there is none */
  int (*number)(void);
  int64_t threads;
  float *low, *high;   /* of a share's channels, [threads, C] */
  float *sum, *square; /* of each sample's channel, [N, C]: added up in one order, whoever found them */
  uint32_t *tables;    /* [threads, TABLES, B], empty between calls */
  float *picked;       /* [N, drawn] */
  float *room;         /* [threads, span], of attention */
  int64_t span;
} Team;

typedef struct Work {
  void (*piece)(const struct Work *, int64_t first, int64_t last, int64_t share);
  const View *view;
  const float *x;
  const Team *team;
  int64_t units;    /* to be shared out evenly, and in the order of memory: */
  char taken[MOST]; /* torch does so too, and what a core has written it still holds */
  float *out;       /* of attend() */
} Work;

static void toil(void *shared) {
  Work *work = shared;
  int64_t threads = work->team->threads;
  int64_t number = work->team->number();
  for (int64_t k = 0; k < threads; ++k) { /* its own share, then what nobody else has begun */
    int64_t i = (number + k) % threads;
    if (!__atomic_exchange_n(&work->taken[i], 1, __ATOMIC_RELAXED))
      work->piece(work, work->units * i / threads, work->units * (i + 1) / threads, i);
  }
}

/* Returns how many shares there were. Threads are as many as torch has, or libgomp would end some. */
static int64_t run(Work *work, int64_t values) {
  int64_t threads = work->team->threads;
  if (threads < 2 || values < ALONE) {
    work->piece(work, 0, work->units, 0);
    return 1;
  }
  work->team->parallel(toil, work, (unsigned)threads, 0);
  return threads;
}

/* Which of sample n's drawn values is the first that does not lie before `at`. */
static int64_t first_drawn(const Work *work, int64_t n, int64_t at) {
  const View *v = work->view;
  if (!v->positions || !at) return 0;
  const int32_t *drawn = v->positions + n * v->drawn;
  int64_t first = 0, last = v->drawn;
  while (first < last) {
    int64_t middle = first + (last - first) / 2;
    if (drawn[middle] < at) first = middle + 1;
    else last = middle;
  }
  return first;
}

/* Sets aside sample n's drawn values from the `next` one to those before `end`: later they were
   far away. Returns which is the next then. */
static int64_t pick(const Work *work, int64_t n, int64_t next, int64_t end) {
  const View *v = work->view;
  if (!v->positions) return 0;
  const float *x = work->x + n * v->channels * v->size;
  const int32_t *drawn = v->positions + n * v->drawn;
  float *picked = work->team->picked + n * v->drawn;
  for (; next < v->drawn && drawn[next] < end; ++next) picked[next] = x[drawn[next]];
  return next;
}

/* What is known of some values so far, lane by lane. */
typedef struct {
  Floats low, high, sum, square;
} Lanes;

static inline Lanes lanes_of(float first) {
  Floats value = (Floats){0} + first;
  return (Lanes){value, value, {0}, {0}};
}

static inline void take(Lanes *l, Floats value, float center) {
  Floats d = value - center;
  l->low = lesser(value, l->low);
  l->high = greater(value, l->high);
  l->sum += d;
  l->square += d * d;
}

/* Two sets of lanes: each waits for its own last sum only. */
static inline Lanes joined(Lanes a, Lanes b) {
  return (Lanes){lesser(a.low, b.low), greater(a.high, b.high), a.sum + b.sum, a.square + b.square};
}

/* Where a share keeps the extremes of its channels, before it has seen any. */
static float *begin(float *table, const Work *work, int64_t share, float none) {
  int64_t channels = work->view->channels;
  for (int64_t c = 0; c < channels; ++c) table[share * channels + c] = none;
  return table + share * channels;
}

/* Inlined: four registers of numbers would go through memory. */
static inline __attribute__((always_inline)) void put(const Work *work, int64_t plane, Lanes l,
                                                      float *low, float *high) {
  float lo = least(l.low), hi = greatest(l.high);
  *low = lo < *low ? lo : *low;
  *high = hi > *high ? hi : *high;
  work->team->sum[plane] = total(l.sum), work->team->square[plane] = total(l.square);
}

/* A sample's channel lies in one piece. */
static void moments_plane(const Work *work, int64_t i, float *low, float *high) {
  int64_t size = work->view->size, j = 0;
  float center = (float)work->view->moments->center;
  const float *x = work->x + i * size;
  Lanes a = lanes_of(x[0]), b = a;
  for (; j + 2 * WIDE <= size; j += 2 * WIDE) {
    /* The processor reads ahead by itself, but not far enough, and not beyond a page. */
    __builtin_prefetch(x + j + AHEAD);
    __builtin_prefetch(x + j + AHEAD + LINE);
    take(&a, *(const Floats *)(x + j), center);
    take(&b, *(const Floats *)(x + j + WIDE), center);
  }
  if (j + WIDE <= size) take(&a, *(const Floats *)(x + j), center), j += WIDE;
  Floats rest = (Floats){0} + center; /* adds nothing to a sum */
  for (int64_t k = j; k < size; ++k) rest[k - j] = x[k];
  if (j < size) {
    Floats edge = b.low;
    for (int64_t k = j; k < size; ++k) edge[k - j] = x[k];
    b.low = lesser(edge, b.low), b.high = greater(edge, b.high);
    b.sum += rest - center, b.square += (rest - center) * (rest - center);
  }
  put(work, i, joined(a, b), low, high);
}

static void moments_planes(const Work *work, int64_t first, int64_t last, int64_t share) {
  int64_t channels = work->view->channels, size = work->view->size;
  int64_t some = size < NEAR ? NEAR / size : 1, next = 0;
  float *low = begin(work->team->low, work, share, FLT_MAX);
  float *high = begin(work->team->high, work, share, -FLT_MAX);
  for (int64_t i = first, end; i < last; i = end) {
    int64_t n = i / channels, start = n * channels;
    if (i == first || i == start) next = first_drawn(work, n, (i - start) * size);
    end = i + some < start + channels ? i + some : start + channels;
    end = end < last ? end : last;
    for (int64_t plane = i; plane < end; ++plane)
      moments_plane(work, plane, low + plane - start, high + plane - start);
    next = pick(work, n, next, (end - start) * size);
  }
}

/* Some rows of a head's probabilities; those beyond the last one count for nothing. */
static void take_turned(Lanes *l, const Attention *a, const float *shares, int64_t left,
                        float center) {
  Floats live[2];
  for (int i = 0; i < ROWS; ++i) live[i / WIDE][i % WIDE] = i < left;
  for (int64_t s = 0; s < a->length; ++s)
    for (int p = 0; p < 2; ++p) {
      Floats value = *(const Floats *)(shares + s * ROWS + p * WIDE);
      Floats d = (value - center) * live[p];
      l[p].low = lesser(value, l[p].low);
      l[p].high = greater(value, l[p].high);
      l[p].sum += d;
      l[p].square += d * d;
    }
}

/* As pick(), of the rows from `row` on, which are at hand. */
static int64_t pick_turned(const Work *work, int64_t head, int64_t row, const float *shares,
                           int64_t next) {
  const View *v = work->view;
  const Attention *a = v->attention;
  int64_t n = head / v->channels, last = row + ROWS < a->rows ? row + ROWS : a->rows;
  int64_t plane = head % v->channels * v->size, begin = plane + row * a->length;
  const int32_t *drawn = v->positions + n * v->drawn;
  float *picked = work->team->picked + n * v->drawn;
  for (; next < v->drawn && drawn[next] < plane + last * a->length; ++next) {
    int64_t at = drawn[next] - begin;
    picked[next] = shares[at % a->length * ROWS + at / a->length];
  }
  return next;
}

/* Attention, head by head: its probabilities are never stored. */
static void moments_heads(const Work *work, int64_t first, int64_t last, int64_t share) {
  const View *v = work->view;
  const Attention *a = v->attention;
  float center = (float)v->moments->center, *room = work->team->room + share * work->team->span;
  float *low = begin(work->team->low, work, share, FLT_MAX);
  float *high = begin(work->team->high, work, share, -FLT_MAX);
  for (int64_t head = first; head < last; ++head) {
    int64_t h = head % v->channels, next = first_drawn(work, head / v->channels, h * v->size);
    Lanes l[2];
    for (int64_t row = 0; row < a->rows; row += ROWS) {
      shares_of(a, head, row, room);
      if (row == 0) l[0] = l[1] = lanes_of(room[0]);
      take_turned(l, a, room, a->rows - row, center);
      next = pick_turned(work, head, row, room, next);
    }
    put(work, head, joined(l[0], l[1]), low + h, high + h);
  }
}

/* WIDE neighbouring channels of some rows, added to what is known of them. */
static void moments_wide(const float *x, int64_t rows, int64_t channels, float center, float *low,
                         float *high, float *sum, float *square) {
  Lanes a = {*(Floats *)low, *(Floats *)high, *(Floats *)sum, *(Floats *)square};
  Lanes b = {a.low, a.high, {0}, {0}};
  int64_t row = 0;
  for (; row + 2 <= rows; row += 2, x += 2 * channels) {
    take(&a, *(const Floats *)x, center);
    take(&b, *(const Floats *)(x + channels), center);
  }
  if (row < rows) take(&a, *(const Floats *)x, center);
  a = joined(a, b);
  *(Floats *)low = a.low, *(Floats *)high = a.high;
  *(Floats *)sum = a.sum, *(Floats *)square = a.square;
}

/* The few channels that are left. */
static void moments_few(const float *restrict x, int64_t rows, int64_t channels, float center,
                        int64_t lanes, float *restrict low, float *restrict high,
                        float *restrict sum, float *restrict square) {
  for (int64_t row = 0; row < rows; ++row, x += channels)
    for (int64_t c = 0; c < lanes; ++c) {
      float value = x[c], d = value - center;
      low[c] = value < low[c] ? value : low[c];
      high[c] = value > high[c] ? value : high[c];
      sum[c] += d;
      square[c] += d * d;
    }
}

/* Neighbours belong to different channels. */
static void moments_rows(const Work *work, int64_t first, int64_t last, int64_t share) {
  const Team *t = work->team;
  int64_t channels = work->view->channels, size = work->view->size;
  int64_t some = channels < NEAR ? NEAR / channels : 1;
  float center = (float)work->view->moments->center;
  float *low = begin(t->low, work, share, FLT_MAX), *high = begin(t->high, work, share, -FLT_MAX);
  for (int64_t n = first; n < last; ++n) {
    const float *x = work->x + n * size * channels;
    float *sum = t->sum + n * channels, *square = t->square + n * channels;
    int64_t next = 0;
    for (int64_t c = 0; c < channels; ++c) sum[c] = square[c] = 0;
    for (int64_t row = 0; row < size; row += some) {
      int64_t rows = some < size - row ? some : size - row, c = 0;
      const float *from = x + row * channels;
      for (; c + WIDE <= channels; c += WIDE)
        moments_wide(from + c, rows, channels, center, low + c, high + c, sum + c, square + c);
      if (c < channels)
        moments_few(from + c, rows, channels, center, channels - c, low + c, high + c, sum + c,
                    square + c);
      next = pick(work, n, next, (row + rows) * channels);
    }
  }
}

/* Sums and extremes of every channel of x about the center. */
static void summarize(const View *v, const float *x, const Team *t) {
  int64_t channels = v->channels, units = v->planes ? v->samples * channels : v->samples;
  Work work = {v->planes ? moments_planes : moments_rows, v, x, t, units, {0}};
  if (v->attention) work.piece = moments_heads;
  int64_t shares = run(&work, v->samples * channels * v->size);
  float *restrict low = v->moments->low, *restrict high = v->moments->high;
  double *restrict sum = v->moments->sum, *restrict square = v->moments->square;
  for (int64_t c = 0; c < channels; ++c) {
    low[c] = t->low[c], high[c] = t->high[c];
    sum[c] = t->sum[c], square[c] = t->square[c];
  }
  for (int64_t i = 1; i < shares; ++i) {
    const float *lows = t->low + i * channels, *highs = t->high + i * channels;
    for (int64_t c = 0; c < channels; ++c) {
      low[c] = lows[c] < low[c] ? lows[c] : low[c];
      high[c] = highs[c] > high[c] ? highs[c] : high[c];
    }
  }
  for (int64_t n = 1; n < v->samples; ++n) {
    const float *sums = t->sum + n * channels, *squares = t->square + n * channels;
    for (int64_t c = 0; c < channels; ++c) sum[c] += sums[c], square[c] += squares[c];
  }
}

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
static void count_picked(const View *v, int64_t step, const Team *t) {
  count_run(t->picked, v->samples * v->drawn, v->columns, t->tables);
  add(v, t, step, 1);
}

/* Counts the meant values of x, which must lie inside the bins; of attention, those set aside. */
void count(const View *v, const float *x, int64_t step, const Team *t) {
  if (v->attention) {
    count_picked(v, step, t);
    return;
  }
  int64_t all = v->samples * v->size * (v->last - v->first);
  int64_t units = v->positions ? v->samples : all;
  Work work = {v->positions ? count_drawn : count_all, v, x, t, units, {0}};
  add(v, t, step, run(&work, v->positions ? units * v->drawn * FETCH : all));
}

/* Not isfinite(): the compiler has been told that it need not expect anything else. */
static int is_number(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return (bits >> 52 & 0x7ff) != 0x7ff;
}

/* The meant channels made one: how many values, their mean, the squares of deviations from it. */
typedef struct {
  double count, mean, m2;
  int finite, far;
} Row;

static Row row_of(const View *v, const Moments *m) {
  double sum = 0, square = 0;
  for (int64_t c = v->first; c < v->last; ++c) sum += m->sum[c], square += m->square[c];
  Row row = {.count = (double)(v->samples * v->size * (v->last - v->first))};
  double offset = sum / row.count, left = square - row.count * offset * offset;
  row.mean = m->center + offset;
  row.m2 = left > 0 ? left : 0;
  row.finite = is_number(sum) && is_number(square); /* any NaN or infinity reaches them */
  row.far = row.mean * row.mean * row.count > m->far * m->far * row.m2;
  return row;
}

/* Chan, Golub & LeVeque (1979): the pairwise update. */
static void merge(const View *v, const Moments *m, Row row, int64_t step) {
  Columns *to = v->columns;
  double before = (double)to->count[step], total = before + row.count;
  double shift = row.mean - to->mean[step];
  to->m2[step] = before ? to->m2[step] + row.m2 + shift * shift * before * row.count / total : row.m2;
  to->mean[step] = before ? to->mean[step] + shift * row.count / total : row.mean;
  to->count[step] = (int64_t)total;
  float *low = to->low + step * to->channels, *high = to->high + step * to->channels;
  float least = m->low[v->first], greatest = m->high[v->first];
  for (int64_t c = 0; c < to->channels; ++c) {
    float lo = m->low[v->first + c], hi = m->high[v->first + c];
    low[c] = before && low[c] < lo ? low[c] : lo;
    high[c] = before && high[c] > hi ? high[c] : hi;
    least = lo < least ? lo : least;
    greatest = hi > greatest ? hi : greatest;
  }
  to->least = least < to->least ? least : to->least;
  to->greatest = greatest > to->greatest ? greatest : to->greatest;
}

/* Asks for what is needed at the end, while x is looked at: it was last used a pass ago. */
static void ask_for(const Columns *to, int64_t step) {
  const uint32_t *counts = to->counts + step * to->bins;
  const float *low = to->low + step * to->channels, *high = to->high + step * to->channels;
  for (int64_t i = 0; i < to->bins; i += LINE) __builtin_prefetch(counts + i, 1);
  for (int64_t i = 0; i < to->channels; i += LINE) {
    __builtin_prefetch(low + i, 1);
    __builtin_prefetch(high + i, 1);
  }
}

/* Takes x into the columns of a layer. `known` are moments of the same x, NULL if not yet found.
   After OUTSIDE all is done but counting. */
int observe(const View *v, const Moments *known, const float *x, int64_t step, const Team *team) {
  Moments *own = v->moments;
  ask_for(v->columns, step);
  if (!known) {
    own->center = own->next_center;
    summarize(v, x, team);
  }
  Row row = row_of(v, known ? known : own);
  if (!row.finite) return BROKEN;
  if (row.far) own->next_center = (float)row.mean;
  if (!known && row.far && !own->decided) { /* the first tensor is looked at again */
    own->center = own->next_center;
    summarize(v, x, team);
    row = row_of(v, own);
  }
  own->decided = 1;
  merge(v, known ? known : own, row, step);
  const Columns *to = v->columns;
  if (to->least < to->reach_low || to->greatest >= to->reach_high) return OUTSIDE;
  if (known || !v->positions) count(v, x, step, team);
  else count_picked(v, step, team);
  return 0;
}

static void store_heads(const Work *work, int64_t first, int64_t last, int64_t share) {
  const Attention *a = work->view->attention;
  float *room = work->team->room + share * work->team->span;
  for (int64_t head = first; head < last; ++head)
    for (int64_t row = 0; row < a->rows; row += ROWS) {
      float *out = work->out + (head * a->rows + row) * a->length;
      shares_of(a, head, row, room);
      for (int64_t i = 0; i < ROWS && row + i < a->rows; ++i)
        for (int64_t s = 0; s < a->length; ++s) out[i * a->length + s] = room[s * ROWS + i];
    }
}

/* Probabilities [N, H, L, S] of an attention, for who has to have them all. */
void attend(const View *v, float *out, const Team *team) {
  Work work = {store_heads, v, NULL, team, v->samples * v->channels, {0}, out};
  run(&work, v->samples * v->channels * v->size);
}
