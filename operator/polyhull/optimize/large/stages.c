/* The inner question of optimize/stages.py: which machines of two clusters carry the most from a stage to the next.
 * The same sums in the same order as its Python twin, so the same bits. */
#include <math.h>
#include <stdint.h>

#define MACHINES 1024 /* stages.py asks for no more */
#define MOST 32

/* One side of the border: its machines, how many of each kind are wanted, tokens/s by machine (of all). */
typedef struct {
    int64_t count;
    const int64_t *node, *wanted;
    const double *passes;
} End;

/* The `wanted` of each kind with the most worth, the first where equal; how many they are. */
static int64_t richest(const End *end, const double *worth, int64_t kinds, const int64_t *kind, int64_t *taken) {
    int64_t found = 0;
    uint8_t used[MACHINES] = {0};
    for (int64_t d = 0; d < kinds; d++) {
        for (int64_t n = 0; n < end->wanted[d]; n++) {
            int64_t best = -1;
            for (int64_t at = 0; at < end->count; at++)
                if (!used[at] && kind[end->node[at]] == d && (best < 0 || worth[at] > worth[best])) best = at;
            if (best < 0) break;
            used[best] = 1;
            taken[found++] = end->node[best];
        }
    }
    return found;
}

/* What the chosen of one side pass over their links to the chosen of the other; `row` and `column` are link's steps. */
static double passed(const double *link, int64_t row, int64_t column, const int64_t *ours, int64_t count,
                     const int64_t *theirs, int64_t others, const double *passes) {
    double total = 0.0;
    for (int64_t i = 0; i < count; i++) {
        double sum = 0.0;
        for (int64_t j = 0; j < others; j++) sum += link[ours[i] * row + theirs[j] * column];
        total += fmin(sum, passes[ours[i]]);
    }
    return total;
}

/* From each machine of `into` in turn: the best partners, their best partners, and once more. Writes the best pair. */
double ph_stages_pair(int64_t machines, int64_t kinds, const int64_t *kind, const double *link, const End *from,
                      const End *into, int64_t *best_one, int64_t *best_other) {
    double most = -1.0, worth[MACHINES];
    for (int64_t seed = 0; seed < into->count; seed++) {
        int64_t one[MOST], other[MOST] = {into->node[seed]}, ones = 0, others = 1;
        for (int round = 0; round < 2; round++) {
            for (int64_t at = 0; at < from->count; at++) {
                int64_t i = from->node[at];
                double sum = 0.0;
                for (int64_t j = 0; j < others; j++) sum += link[i * machines + other[j]];
                worth[at] = fmin(sum, from->passes[i]);
            }
            ones = richest(from, worth, kinds, kind, one);
            for (int64_t at = 0; at < into->count; at++) {
                int64_t j = into->node[at];
                double sum = 0.0;
                for (int64_t i = 0; i < ones; i++) sum += link[one[i] * machines + j];
                worth[at] = fmin(sum, into->passes[j]);
            }
            others = richest(into, worth, kinds, kind, other);
        }
        double carried = fmin(passed(link, machines, 1, one, ones, other, others, from->passes),
                              passed(link, 1, machines, other, others, one, ones, into->passes));
        if (carried > most) {
            most = carried;
            for (int64_t i = 0; i < ones; i++) best_one[i] = one[i];
            for (int64_t j = 0; j < others; j++) best_other[j] = other[j];
        }
    }
    return most;
}
