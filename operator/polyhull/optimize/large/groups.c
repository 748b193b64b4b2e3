/* The two inner questions of optimize/groups.py: the bottleneck between two groups, and the cheapest order of groups.
 * Only minima, maxima and sums in a fixed order, so the numbers are those of the Python twin bit by bit. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define REGIONS 64 /* groups.py asks for no more */
#define GROUPS 10

typedef struct {
    double seconds;
    int r, s;
} Pair;

static int by_seconds(const void *one, const void *other) {
    double a = ((const Pair *)one)->seconds, b = ((const Pair *)other)->seconds;
    return (a > b) - (a < b);
}

typedef struct {
    int64_t regions;
    int64_t give[REGIONS], take[REGIONS]; /* still to be matched */
    int64_t flow[REGIONS][REGIONS];       /* -1: the pair is too slow yet */
} Matching;

/* One more unit along a path of open pairs, backwards over those in use (Ford and Fulkerson); 0: there is no path. */
static int augment(Matching *m) {
    int64_t R = m->regions;
    int queue[REGIONS], head = 0, tail = 0, giver_of[REGIONS], taker_of[REGIONS], seen[REGIONS] = {0};
    for (int s = 0; s < R; s++) giver_of[s] = -1;
    for (int r = 0; r < R; r++) {
        taker_of[r] = -1;
        if (m->give[r] > 0) { seen[r] = 1; queue[tail++] = r; }
    }
    while (head < tail) {
        int r = queue[head++];
        for (int s = 0; s < R; s++) {
            if (m->flow[r][s] < 0 || giver_of[s] >= 0) continue;
            giver_of[s] = r;
            if (m->take[s] > 0) {
                m->take[s]--;
                while (1) {
                    int giver = giver_of[s];
                    m->flow[giver][s]++;
                    s = taker_of[giver];
                    if (s < 0) { m->give[giver]--; return 1; }
                    m->flow[giver][s]--;
                }
            }
            for (int q = 0; q < R; q++)
                if (m->flow[q][s] > 0 && !seen[q]) { seen[q] = 1; taker_of[q] = s; queue[tail++] = q; }
        }
    }
    return 0;
}

static double bottleneck(int64_t R, const int64_t *one, const int64_t *other, const double *seconds) {
    Matching m = {.regions = R};
    Pair pairs[REGIONS * REGIONS];
    int64_t count = 0, wanted = 0;
    for (int r = 0; r < R; r++) {
        memset(m.flow[r], -1, (size_t)R * sizeof m.flow[r][0]);
        m.give[r] = one[r];
        m.take[r] = other[r];
        wanted += one[r];
        for (int s = 0; s < R; s++) if (one[r] && other[s]) pairs[count++] = (Pair){seconds[r * R + s], r, s};
    }
    qsort(pairs, (size_t)count, sizeof *pairs, by_seconds);
    for (int64_t p = 0; p < count; p++) {
        m.flow[pairs[p].r][pairs[p].s] = 0;
        if (p + 1 < count && pairs[p + 1].seconds == pairs[p].seconds) continue;
        while (wanted > 0 && augment(&m)) wanted--;
        if (wanted == 0) return pairs[p].seconds;
    }
    return 0.0;
}

/* [one, other] bottlenecks of `groups` x regions counts; a table that is symmetric needs half of them. */
void ph_groups_bottlenecks(int64_t groups, int64_t regions, const int64_t *counts, const double *seconds, double *edge) {
    for (int64_t i = 0; i < groups; i++)
        for (int64_t j = i; j < groups; j++)
            edge[i * groups + j] = edge[j * groups + i] =
                bottleneck(regions, counts + i * regions, counts + j * regions, seconds);
}

/* The cheapest path through all groups (Held and Karp 1962). */
void ph_groups_order(int64_t groups, const double *edge, int64_t *order) {
    double cost[1 << GROUPS][GROUPS];
    int8_t before[1 << GROUPS][GROUPS];
    int64_t all = ((int64_t)1 << groups) - 1, at = 0;
    for (int64_t set = 1; set <= all; set++) {
        for (int64_t last = 0; last < groups; last++) {
            int64_t rest = set & ~((int64_t)1 << last);
            cost[set][last] = rest == set || rest ? INFINITY : 0.0;
            before[set][last] = 0;
            if (rest == set || !rest) continue;
            for (int64_t u = 0; u < groups; u++) {
                if (!(rest >> u & 1)) continue;
                double reach = cost[rest][u] + edge[u * groups + last];
                if (reach < cost[set][last]) { cost[set][last] = reach; before[set][last] = (int8_t)u; }
            }
        }
    }
    for (int64_t last = 1; last < groups; last++) if (cost[all][last] < cost[all][at]) at = last;
    for (int64_t place = groups - 1; place >= 0; place--) {
        order[place] = at;
        int64_t u = before[all][at];
        all &= ~((int64_t)1 << at);
        at = u;
    }
}
