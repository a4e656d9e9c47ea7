/* The softmax of small attentions, which a capture looks at beside the model's own fused product.

   All scores of a row stay at hand between product, exponential and sum, and none is stored. */

#include <stdint.h>
#include <string.h>

enum { WIDE = 16, ROWS = 4 }; /* floats, and rows, that are worked on together */
typedef float Floats __attribute__((vector_size(WIDE * sizeof(float)), aligned(4)));
typedef int32_t Wholes __attribute__((vector_size(WIDE * sizeof(float)), aligned(4)));

/* Queries [N, H, L, D] and keys [N, H, S, D], D side by side in memory, to [N, H, L, S]. */
typedef struct {
  const float *q, *k;
  float *out, *room; /* room [threads, D + 1 + ROWS, S rounded up to WIDE] */
  int64_t samples, heads, rows, length, depth;
  int64_t q_sample, q_head, q_row, k_sample, k_head, k_row; /* strides in values */
  double scale;
} Attention;

/* torch's own threads, as in moments.c. */
typedef struct {
  void (*parallel)(void (*)(void *), void *, unsigned, unsigned); /* NULL: there is none */
  int (*number)(void);
  int64_t threads;
} Crew;

typedef struct {
  const Attention *a;
  const Crew *crew;
  int64_t next; /* head that nobody has begun */
} Shift;

static int64_t padded_of(int64_t length) { return (length + WIDE - 1) / WIDE * WIDE; }

static Floats greater(Floats a, Floats b) {
  Wholes first = a > b;
  return (Floats)((first & (Wholes)a) | (~first & (Wholes)b));
}

/* 2^t for t <= 0, by the series of exp(r ln 2) for the rest r in [-1/2, 1/2]. */
static Floats power(Floats t) {
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

/* Scores of some rows times log2(e); beyond the last key they are as good as minus infinity. */
static void scores_of(const float *const *q, const float *keys, int64_t depth, int64_t padded,
                      float scale, float *scores) {
  const float *beyond = keys + depth * padded;
  for (int64_t s = 0; s < padded; s += WIDE) {
    Floats score[ROWS] = {{0}};
    for (int64_t d = 0; d < depth; ++d) {
      Floats key = *(const Floats *)(keys + d * padded + s);
      for (int i = 0; i < ROWS; ++i) score[i] += q[i][d] * key;
    }
    for (int i = 0; i < ROWS; ++i)
      *(Floats *)(scores + i * padded + s) = score[i] * scale + *(const Floats *)(beyond + s);
  }
}

static int any(Wholes lanes) {
  int32_t found = 0;
  for (int i = 0; i < WIDE; ++i) found |= lanes[i];
  return found != 0;
}

/* Powers of two over their sum, the greatest score taken off; NaN if a score is no number. The
   compiler has been told that it need not expect any, so their bits have to tell. */
static void shares_of(float *scores, int64_t padded, int64_t length, float *out) {
  const int32_t infinite = 0x7f800000, nan = 0x7fc00000;
  Floats most = *(Floats *)scores, sum = {0};
  Wholes broken = {0};
  for (int64_t s = 0; s < padded; s += WIDE) {
    Floats score = *(Floats *)(scores + s);
    most = greater(most, score);
    broken |= ((Wholes)score & infinite) == infinite;
  }
  float greatest = most[0], total = 0;
  for (int i = 1; i < WIDE; ++i) greatest = most[i] > greatest ? most[i] : greatest;
  for (int64_t s = 0; s < padded; s += WIDE) {
    Floats share = power(*(Floats *)(scores + s) - greatest);
    sum += share;
    *(Floats *)(scores + s) = share;
  }
  for (int i = 0; i < WIDE; ++i) total += sum[i];
  float over = 1 / total;
  for (int64_t s = 0; s < length; ++s) out[s] = scores[s] * over;
  if (any(broken))
    for (int64_t s = 0; s < length; ++s) memcpy(out + s, &nan, sizeof nan);
}

/* One head of one sample; its keys are turned, so that neighbours in memory are of one depth. */
static void head_of(const Attention *a, int64_t head, float *room) {
  int64_t n = head / a->heads, h = head % a->heads, padded = padded_of(a->length);
  const float *q = a->q + n * a->q_sample + h * a->q_head;
  const float *k = a->k + n * a->k_sample + h * a->k_head;
  float *out = a->out + head * a->rows * a->length;
  float *beyond = room + a->depth * padded, *scores = beyond + padded;
  for (int64_t d = 0; d < a->depth; ++d)
    for (int64_t s = 0; s < padded; ++s)
      room[d * padded + s] = s < a->length ? k[s * a->k_row + d] : 0;
  for (int64_t s = 0; s < padded; ++s) beyond[s] = s < a->length ? 0 : -1e30f;
  float scale = (float)(a->scale * 1.4426950408889634);
  for (int64_t row = 0; row < a->rows; row += ROWS) {
    const float *some[ROWS];
    for (int64_t i = 0; i < ROWS; ++i)
      some[i] = q + (row + i < a->rows ? row + i : row) * a->q_row;
    scores_of(some, room, a->depth, padded, scale, scores);
    for (int64_t i = 0; i < ROWS && row + i < a->rows; ++i)
      shares_of(scores + i * padded, padded, a->length, out + (row + i) * a->length);
  }
}

static void toil(void *shared) {
  Shift *shift = shared;
  const Attention *a = shift->a;
  int64_t number = shift->crew->parallel ? shift->crew->number() : 0;
  float *room = a->room + number * (a->depth + 1 + ROWS) * padded_of(a->length);
  for (int64_t i; (i = __atomic_fetch_add(&shift->next, 1, __ATOMIC_RELAXED)) < a->samples * a->heads;)
    head_of(a, i, room);
}

void attend(const Attention *a, const Crew *crew) {
  Shift shift = {a, crew, 0};
  if (crew->parallel && crew->threads > 1) crew->parallel(toil, &shift, (unsigned)crew->threads, 0);
  else {
    Crew alone = {0};
    shift.crew = &alone;
    toil(&shift);
  }
}
