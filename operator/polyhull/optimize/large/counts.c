/* The linear programme of optimize/instances.py for one range of counts, by a dual simplex that keeps no bucket rows.
 *
 *     min price·n,   sum_g x[i,g] = 1,   sum_i load[i,g] x[i,g] + s_g = n_g,   usage n + t = available,
 *     x, s, t >= 0,   low <= n <= high
 *
 * Generalised upper bounds (Dantzig and Van Slyke 1967): of every bucket one share, its key, is what the others
 * leave of 1, so the basis that is factored has one row per kind and resource only. Every bucket on the kind that is
 * cheapest alone is dual feasible for all ranges, and so is the last basis of any range: only dual steps are needed.
 *
 * Everything lives in the caller's arrays; same arrays, same result. The bound is recomputed by the caller.
 */
#include <math.h>
#include <stdint.h>

#define MOST 64 /* kinds and resources together: counts.py refuses more */

enum { AT_LOW, AT_HIGH, BASIC };
enum { OPTIMAL, INFEASIBLE, ENDED, SINGULAR };

/* counts.py fills this field by field in this order. Variables: x by bucket, then n, s, t. */
typedef struct {
    int64_t buckets, kinds, resources, steps;
    const double *load; /* buckets x kinds; negative: cannot */
    const double *price, *usage, *available, *low, *high;
    int32_t *key;   /* buckets: kind of the key */
    int32_t *basic; /* kinds + resources: variables of the working basis */
    int8_t *state;  /* variables */
    double *alpha;  /* variables: row of the tableau */
    double *share, *count, *dual;
} Counts;

typedef struct {
    double inverse[MOST][MOST], value[MOST], dual[MOST];
} Basis;

static const double FEASIBLE = 1e-10, PIVOT = 1e-9, TIE = 1e-12;

static int64_t first_count(const Counts *c) { return c->buckets * c->kinds; }

/* Inner product of `row` (kinds, resources) with the column of variable v. */
static double times(const Counts *c, const double *row, int64_t v) {
    int64_t G = c->kinds, n = first_count(c);
    if (v < n) {
        int64_t i = v / G;
        int32_t g = (int32_t)(v % G), k = c->key[i];
        return row[g] * c->load[v] - row[k] * c->load[i * G + k];
    }
    v -= n;
    if (v >= G) return row[v - G];
    double sum = -row[v];
    for (int64_t r = 0; r < c->resources; r++) sum += row[G + r] * c->usage[r * G + v];
    return sum;
}

static void add_column(const Counts *c, double *to, int64_t v, double factor) {
    int64_t G = c->kinds, n = first_count(c);
    if (v < n) {
        int64_t i = v / G;
        int32_t g = (int32_t)(v % G), k = c->key[i];
        to[g] += factor * c->load[v];
        to[k] -= factor * c->load[i * G + k];
        return;
    }
    v -= n;
    if (v >= G) { to[v - G] += factor; return; }
    to[v] -= factor;
    for (int64_t r = 0; r < c->resources; r++) to[G + r] += factor * c->usage[r * G + v];
}

/* Gauss and Jordan with row pivots; 0 where the basis is singular. */
static int invert(const Counts *c, Basis *b) {
    int64_t M = c->kinds + c->resources;
    double w[MOST][2 * MOST];
    for (int64_t p = 0; p < M; p++) {
        double column[MOST] = {0.0};
        add_column(c, column, c->basic[p], 1.0);
        for (int64_t r = 0; r < M; r++) { w[r][p] = column[r]; w[r][M + p] = r == p; }
    }
    for (int64_t p = 0; p < M; p++) {
        int64_t best = p;
        for (int64_t r = p + 1; r < M; r++) if (fabs(w[r][p]) > fabs(w[best][p])) best = r;
        if (fabs(w[best][p]) < 1e-14) return 0;
        for (int64_t q = p; best != p && q < 2 * M; q++) {
            double kept = w[p][q]; w[p][q] = w[best][q]; w[best][q] = kept;
        }
        double by = 1.0 / w[p][p];
        for (int64_t q = p; q < 2 * M; q++) w[p][q] *= by;
        for (int64_t r = 0; r < M; r++) {
            double factor = w[r][p];
            if (r == p || factor == 0.0) continue;
            for (int64_t q = p; q < 2 * M; q++) w[r][q] -= factor * w[p][q];
        }
    }
    for (int64_t r = 0; r < M; r++) for (int64_t p = 0; p < M; p++) b->inverse[r][p] = w[r][M + p];
    return 1;
}

static double bound_of(const Counts *c, int64_t v, int high) {
    int64_t g = v - first_count(c);
    if (g < 0 || g >= c->kinds) return high ? INFINITY : 0.0;
    return high ? c->high[g] : c->low[g];
}

/* Values of the working basis and the duals of its rows. */
static void evaluate(const Counts *c, Basis *b) {
    int64_t G = c->kinds, M = G + c->resources, n = first_count(c);
    double rest[MOST] = {0.0};
    for (int64_t r = 0; r < c->resources; r++) rest[G + r] = c->available[r];
    for (int64_t i = 0; i < c->buckets; i++) rest[c->key[i]] -= c->load[i * G + c->key[i]];
    for (int64_t g = 0; g < G; g++) {
        int8_t state = c->state[n + g];
        double at = state == BASIC ? 0.0 : state == AT_HIGH ? c->high[g] : c->low[g];
        if (at != 0.0) add_column(c, rest, n + g, -at);
    }
    for (int64_t p = 0; p < M; p++) {
        b->value[p] = b->dual[p] = 0.0;
        for (int64_t r = 0; r < M; r++) b->value[p] += b->inverse[p][r] * rest[r];
    }
    for (int64_t p = 0; p < M; p++) {
        int64_t g = c->basic[p] - n;
        if (g >= 0 && g < G) for (int64_t r = 0; r < M; r++) b->dual[r] += c->price[g] * b->inverse[p][r];
    }
}

/* Shares of the buckets: what is basic, and the keys what that leaves of 1. */
static void shares(const Counts *c, const Basis *b) {
    int64_t G = c->kinds, M = G + c->resources, n = first_count(c);
    for (int64_t v = 0; v < n; v++) c->share[v] = 0.0;
    for (int64_t i = 0; i < c->buckets; i++) c->share[i * G + c->key[i]] = 1.0;
    for (int64_t p = 0; p < M; p++) {
        int64_t v = c->basic[p];
        if (v >= n) continue;
        c->share[v] += b->value[p];
        c->share[v / G * G + c->key[v / G]] -= b->value[p];
    }
}

/* The place in the working basis that must leave, the most outside its bounds; -1: none. *high: above, not below. */
static int64_t leaving(const Counts *c, const Basis *b, int *high) {
    int64_t G = c->kinds, M = G + c->resources, n = first_count(c), place = -1, bucket = -1;
    double most = FEASIBLE;
    *high = 0;
    for (int64_t p = 0; p < M; p++) {
        double least = bound_of(c, c->basic[p], 0), top = bound_of(c, c->basic[p], 1), value = b->value[p];
        double scale = 1.0 / (1.0 + fabs(value));
        if ((least - value) * scale > most) { most = (least - value) * scale; place = p; *high = 0; }
        if ((value - top) * scale > most) { most = (value - top) * scale; place = p; *high = 1; }
    }
    for (int64_t p = 0; p < M; p++) {
        if (c->basic[p] >= n) continue;
        int64_t i = c->basic[p] / G;
        double left = c->share[i * G + c->key[i]];
        if (-left > most) { most = -left; bucket = i; }
    }
    if (bucket < 0) return place;
    /* A key leaves: the largest other share of its bucket becomes the key in its stead. */
    *high = 0;
    place = -1;
    for (int64_t p = 0; p < M; p++)
        if (c->basic[p] < n && c->basic[p] / G == bucket && (place < 0 || b->value[p] > b->value[place])) place = p;
    int32_t key = c->key[bucket];
    c->key[bucket] = (int32_t)(c->basic[place] % G);
    c->basic[place] = (int32_t)(bucket * G + key);
    return place;
}

/* The variable that takes its place: least ratio of reduced cost to row entry, the largest entry among equals. */
static int64_t entering(const Counts *c, const Basis *b, int64_t place, int high) {
    int64_t G = c->kinds, all = first_count(c) + 2 * G + c->resources, n = first_count(c), found = -1;
    const double *row = b->inverse[place];
    double reach = INFINITY, most = 0.0, sign = high ? 1.0 : -1.0, top = 0.0, widest = 0.0;
    for (int64_t g = 0; g < G; g++) if (c->price[g] > top) top = c->price[g];
    for (int64_t v = 0; v < all; v++) {
        int64_t g = v - n;
        c->alpha[v] = 0.0;
        if (c->state[v] == BASIC || (v < n && c->load[v] < 0.0)) continue;
        if (g >= 0 && g < G && c->low[g] == c->high[g]) continue;
        c->alpha[v] = times(c, row, v);
        widest = fmax(widest, fabs(c->alpha[v]));
    }
    for (int round = 0; round < 2; round++) {
        for (int64_t v = 0; v < all; v++) {
            int64_t g = v - n;
            int count = g >= 0 && g < G;
            double entry = sign * (c->state[v] == AT_HIGH ? -c->alpha[v] : c->alpha[v]);
            if (entry <= PIVOT * widest) continue;
            double cost = (count ? c->price[g] : 0.0) - times(c, b->dual, v);
            cost = fmax(c->state[v] == AT_HIGH ? -cost : cost, 0.0);
            if (round == 0) reach = fmin(reach, (cost + TIE * top) / entry);
            else if (cost <= reach * entry && entry > most) { most = entry; found = v; }
        }
    }
    return found;
}

/* The start: every bucket on the kind that is cheapest alone, counts and what is left of resources basic. */
void ph_counts_begin(const Counts *c) {
    int64_t G = c->kinds, n = first_count(c), all = n + 2 * G + c->resources;
    for (int64_t v = 0; v < all; v++) c->state[v] = AT_LOW;
    for (int64_t i = 0; i < c->buckets; i++) {
        int32_t key = -1;
        for (int32_t g = 0; g < G; g++) {
            const double *load = c->load + i * G;
            if (load[g] >= 0.0 && (key < 0 || c->price[g] * load[g] < c->price[key] * load[key])) key = g;
        }
        c->key[i] = key;
        c->state[i * G + key] = BASIC;
    }
    for (int64_t p = 0; p < G + c->resources; p++) {
        c->basic[p] = (int32_t)(p < G ? n + p : n + G + p);
        c->state[c->basic[p]] = BASIC;
    }
}

static int64_t dual_simplex(const Counts *c) {
    int64_t G = c->kinds, M = G + c->resources, n = first_count(c);
    Basis b;
    if (!invert(c, &b)) return SINGULAR;
    evaluate(c, &b);
    /* A count that was fixed by the last range may stand on the wrong side for this one. */
    for (int64_t v = n; v < n + G; v++)
        if (c->state[v] != BASIC) c->state[v] = c->price[v - n] < times(c, b.dual, v) ? AT_HIGH : AT_LOW;
    for (int64_t step = 0;; step++) {
        if (step > 0 && !invert(c, &b)) return SINGULAR;
        evaluate(c, &b);
        shares(c, &b);
        int high;
        int64_t place = leaving(c, &b, &high);
        if (place < 0) break;
        if (step >= c->steps) return ENDED;
        int64_t gone = c->basic[place];
        if (gone < n && !invert(c, &b)) return SINGULAR; /* the key may have changed */
        int64_t come = entering(c, &b, place, high);
        if (come < 0) return INFEASIBLE;
        c->state[gone] = high ? AT_HIGH : AT_LOW;
        c->state[come] = BASIC;
        c->basic[place] = (int32_t)come;
    }
    for (int64_t g = 0; g < G; g++) c->count[g] = c->state[n + g] == AT_HIGH ? c->high[g] : c->low[g];
    for (int64_t p = 0; p < M; p++) {
        int64_t g = c->basic[p] - n;
        if (g >= 0 && g < G) c->count[g] = b.value[p];
        c->dual[p] = b.dual[p];
    }
    return OPTIMAL;
}

/* From the last basis to the best for the ranges that are there; writes share, count and dual. A basis that has gone
 * bad is no proof: anything but the optimum is asked again from the start. */
int64_t ph_counts_solve(const Counts *c) {
    int64_t status = dual_simplex(c);
    if (status == OPTIMAL) return status;
    ph_counts_begin(c);
    return dual_simplex(c);
}
