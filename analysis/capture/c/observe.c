/* All that a capture does with one tensor in this machine's memory, in one call. */

#include "team.h"

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
  double apart = shift * shift * before * row.count / total;
  to->m2[step] = before ? to->m2[step] + row.m2 + apart : row.m2;
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

/* Takes x into the columns of a layer; whether its values are numbers. */
static int take(const View *v, const Moments *known, const float *x, int64_t step, const Team *team) {
  Moments *own = v->moments;
  if (!known) {
    own->center = own->next_center;
    summarize(v, x, team);
  }
  Row row = row_of(v, known ? known : own);
  if (!row.finite) return 0;
  if (row.far) own->next_center = (float)row.mean;
  if (!known && row.far && !own->decided) { /* the first tensor is looked at again */
    own->center = own->next_center;
    summarize(v, x, team);
    row = row_of(v, own);
  }
  own->decided = 1;
  merge(v, known ? known : own, row, step);
  Columns *to = v->columns;
  if (!to->begun || to->least < to->reach_low || to->greatest >= to->reach_high) widen(to);
  if (known || !v->positions) count(v, x, step, team);
  else count_picked(v, step, team);
  return 1;
}

/* The same for all that see x. `known` are moments of the same x, NULL if not yet found. The answer
   is the place, from 1, of the first that sees what is no number; 0 if there is none. */
int observe(const View *v, const Moments *known, const float *x, int64_t step, const Team *team) {
  for (const View *one = v; one; one = one->next) ask_for(one->columns, step);
  for (int place = 1; v; v = v->next, ++place) {
    if (!take(v, known, x, step, team)) return place;
    if (!known) known = v->moments;
  }
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
