/* The softmax of small attentions, which a capture looks at beside the model's own fused product.

   Rows lie side by side in the lanes, so nothing is added up across lanes, and all scores of some
   rows stay at hand between product, exponential and sum. */

#include "softmax.h"

enum { PAIR = ROWS / WIDE, KEYS = 4 }; /* products that do not wait for each other */

/* 2^t for t <= 0, by the series of exp(r ln 2) for the rest r in [-1/2, 1/2]. */
static inline Floats power(Floats t) {
  t = greater(t, (Floats){0} - 126.0f);
  Wholes whole = __builtin_convertvector(t - 0.5f, Wholes);
  Floats r = (t - __builtin_convertvector(whole, Floats)) * 0.69314718056f;
  Floats series = r * (1 / 5040.0f) + 1 / 720.0f;
  series = series * r + 1 / 120.0f;
  series = series * r + 1 / 24.0f;
  series = series * r + 1 / 6.0f;
  series = series * r + 0.5f;
  series = series * r + 1.0f;
  series = series * r + 1.0f;
  return series * (Floats)((whole + 127) << 23);
}

static Floats *lanes(float *room, int64_t key) { return (Floats *)(room + key * ROWS); }

/* What the rows of the pair are known to have. */
typedef struct {
  Floats most[PAIR], sum[PAIR];
  Wholes broken[PAIR]; /* the compiler need not expect what is no number: its bits have to tell */
} Known;

/* Queries turned, [D, ROWS]. */
static void turn(const Attention *a, const float *q, int64_t left, float *turned) {
  for (int64_t i = 0; i < ROWS; ++i) {
    const float *from = q + (i < left ? i : left - 1) * a->q_row;
    for (int64_t d = 0; d < a->depth; ++d) turned[d * ROWS + i] = from[d];
  }
}

/* Scores times log2(e), some keys at a time; behind the last one it is repeated. */
static void scores_of(const Attention *a, const float *k, float *turned, float *room,
                      Known *known) {
  const Wholes infinite = (Wholes){0} + 0x7f800000;
  float scale = (float)(a->scale * 1.4426950408889634);
  for (int64_t s = 0; s < a->length; s += KEYS) {
    const float *key[KEYS];
    Floats score[KEYS][PAIR] = {{{0}}};
    for (int64_t j = 0; j < KEYS; ++j)
      key[j] = k + (s + j < a->length ? s + j : a->length - 1) * a->k_row;
    for (int64_t d = 0; d < a->depth; ++d)
      for (int j = 0; j < KEYS; ++j)
        for (int p = 0; p < PAIR; ++p) score[j][p] += lanes(turned, d)[p] * key[j][d];
    for (int j = 0; j < KEYS; ++j)
      for (int p = 0; p < PAIR; ++p) {
        Floats scaled = score[j][p] * scale;
        known->broken[p] |= ((Wholes)scaled & infinite) == infinite;
        known->most[p] = s + j ? greater(known->most[p], scaled) : scaled;
        lanes(room, s + j)[p] = scaled;
      }
  }
}

static int64_t scores_room(const Attention *a) { return (a->length + KEYS - 1) / KEYS * KEYS * ROWS; }

int64_t room_of(const Attention *a) { return scores_room(a) + a->depth * ROWS; }

void shares_of(const Attention *a, int64_t head, int64_t row, float *room) {
  int64_t n = head / a->heads, h = head % a->heads;
  const float *q = a->q + n * a->q_sample + h * a->q_head + row * a->q_row;
  const float *k = a->k + n * a->k_sample + h * a->k_head;
  float *turned = room + scores_room(a);
  const Wholes nan = (Wholes){0} + 0x7fc00000;
  Known known = {0};
  turn(a, q, a->rows - row, turned);
  scores_of(a, k, turned, room, &known);
  for (int64_t s = 0; s < a->length; ++s)
    for (int p = 0; p < PAIR; ++p) {
      Floats share = power(lanes(room, s)[p] - known.most[p]);
      known.sum[p] += share;
      lanes(room, s)[p] = share;
    }
  for (int p = 0; p < PAIR; ++p) {
    Wholes over = (Wholes)(1.0f / known.sum[p]), broken = known.broken[p];
    known.sum[p] = (Floats)((~broken & over) | (broken & nan));
  }
  for (int64_t s = 0; s < a->length; ++s)
    for (int p = 0; p < PAIR; ++p) lanes(room, s)[p] *= known.sum[p];
}
