/* Sums and extremes of a tensor's channels, in one pass over it.

   torch needs a pass for each of least, greatest, sum and sum of squares, and memory is what
   capturing waits for. Sums are taken about a center, in float over one plane or some rows and in
   double beyond. No result depends on the number of threads. */

#include <float.h>

#include "team.h"

enum { AHEAD = 32 * LINE }; /* how far on a plane is asked for */
enum { NEAR = 1 << 12 };    /* values just looked at, which the processor still has at hand */

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
    Lanes l[2] = {{{0}}};
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
  double *sums = (double *)(t->room + share * t->span); /* of many rows, [2, C] */
  for (int64_t n = first; n < last; ++n) {
    const float *x = work->x + n * size * channels;
    float *sum = t->sum + n * channels, *square = t->square + n * channels;
    int64_t next = 0;
    for (int64_t c = 0; c < 2 * channels; ++c) sums[c] = 0;
    for (int64_t row = 0; row < size; row += some) {
      int64_t rows = some < size - row ? some : size - row, c = 0;
      const float *from = x + row * channels;
      for (int64_t k = 0; k < channels; ++k) sum[k] = square[k] = 0;
      for (; c + WIDE <= channels; c += WIDE)
        moments_wide(from + c, rows, channels, center, low + c, high + c, sum + c, square + c);
      if (c < channels)
        moments_few(from + c, rows, channels, center, channels - c, low + c, high + c, sum + c,
                    square + c);
      for (int64_t k = 0; k < channels; ++k) sums[k] += sum[k], sums[channels + k] += square[k];
      next = pick(work, n, next, (row + rows) * channels);
    }
    for (int64_t c = 0; c < channels; ++c) sum[c] = sums[c], square[c] = sums[channels + c];
  }
}

/* Sums and extremes of every channel of x about the center. */
void summarize(const View *v, const float *x, const Team *t) {
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
