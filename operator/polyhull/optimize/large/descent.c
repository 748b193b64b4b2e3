/* Price-directed descent on the largest load of a fleet (docs/model.md, "Many columns").
 *
 * Minimise max_i load_i over shares of job classes on columns and flows of data over links. Row i is priced
 *     price_i = anchor_i * exp((load_i - top) / softness) / room_i ;
 * class by class, work moves from the dearest column it uses to the cheapest one, by an exact line search on
 * sum_i anchor_i exp(load_i / softness); prices follow at once. The caller sets the anchors to averaged prices and
 * goes on (exponential method of multipliers), so softness need not go to zero.
 *
 * Everything lives in the caller's arrays; same arrays, same result. Built without contraction of multiply-add, with
 * its own exp and log, so the bits are the same on every machine.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define HOPS 8   /* links of a path at most */
#define PATHS 12 /* paths kept for a commodity and a destination */
#define WIDTH 32 /* rows of a column at most */
#define NEEDS 64 /* commodities of one class at most: kernel.py refuses more */
#define SITES 512

typedef struct {
    double flow; /* bytes */
    int32_t hops, link[HOPS];
} Path;

/* kernel.py fills this field by field in this order. `x_of` arrays are offsets: i has [x_of[i], x_of[i + 1]). */
typedef struct {
    int64_t classes, rows, links, commodities, sites, width;
    const int64_t *column_of;
    const int32_t *row;  /* columns x width; -1: no more of them. The first is a row always */
    const double *use;   /* columns x width, by one job */
    const int32_t *site; /* columns; -1: nothing to bring */
    const double *jobs;
    const int64_t *need_of;
    const int32_t *need_commodity;
    const double *need_bytes; /* by one job */
    const int64_t *source_of;
    const int32_t *source;
    const int64_t *way_of;
    const int32_t *way; /* links a commodity may use */
    const int32_t *from, *to;
    const double *room;   /* rows, then links */
    const double *anchor; /* rows, then links */
    const double *held;   /* rows, then links: load that is not ours to move */
    double *share;        /* columns */
    double *load, *weight, *price; /* rows, then links */
    Path *path;                    /* commodities x sites x PATHS */
    int32_t *paths, *cheap, *dear; /* commodities x sites */
    double *least, *most;          /* commodities x sites: seconds of price per byte of the cheapest and dearest path */
    double softness, top, total;
} Fleet;

static double exponential(double x) {
    if (x < -700.0) return 0.0;
    if (x > 700.0) x = 700.0;
    double n = floor(x * 1.4426950408889634 + 0.5), r = (x - n * 0.693145751953125) - n * 1.4286068203094173e-06;
    static const double part[] = {1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320,
                                  1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800};
    double r2 = r * r, even = part[9], odd = part[10];
    for (int k = 7; k > 0; k -= 2) { even = part[k] + even * r2; odd = part[k + 1] + odd * r2; }
    double sum = 1.0 + r * (part[0] + r * (even + r * odd));
    uint64_t bits = (uint64_t)((int64_t)n + 1023) << 52;
    double scale;
    memcpy(&scale, &bits, sizeof scale);
    return sum * scale;
}

static double logarithm(double x) { /* of a positive normal number */
    int power;
    double m = frexp(x, &power);
    if (m < 0.7071067811865476) { m *= 2.0; power--; }
    static const double part[] = {1.0, 1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9, 1.0 / 11, 1.0 / 13, 1.0 / 15};
    double z = (m - 1.0) / (m + 1.0), z2 = z * z, sum = part[7];
    for (int k = 6; k >= 0; k--) sum = part[k] + sum * z2;
    return 2.0 * z * sum + power * 0.6931471805599453;
}

static void price_all(Fleet *f) {
    int64_t n = f->rows + f->links;
    f->top = f->total = 0.0;
    for (int64_t i = 0; i < n; i++) if (f->load[i] > f->top) f->top = f->load[i];
    for (int64_t i = 0; i < n; i++) {
        f->weight[i] = f->anchor[i] * exponential((f->load[i] - f->top) / f->softness);
        f->price[i] = f->weight[i] / f->room[i];
        f->total += f->weight[i];
    }
}

static void put(Fleet *f, int32_t i, double change) {
    f->load[i] += change;
    double weight = f->anchor[i] * exponential((f->load[i] - f->top) / f->softness);
    f->total += weight - f->weight[i];
    f->weight[i] = weight;
    f->price[i] = weight / f->room[i];
}

/* ---- a direction: what each touched load gains per unit of step ---- */

typedef struct {
    int count;
    int32_t at[2 * WIDTH + 2 * HOPS * NEEDS];
    double gain[2 * WIDTH + 2 * HOPS * NEEDS];
} Direction;

static void gain(Direction *d, int32_t i, double value) {
    for (int k = 0; k < d->count; k++)
        if (d->at[k] == i) { d->gain[k] += value; return; }
    d->at[d->count] = i;
    d->gain[d->count++] = value;
}

static void gain_column(const Fleet *f, Direction *d, int64_t column, double jobs) {
    for (int64_t w = column * f->width; w < (column + 1) * f->width && f->row[w] >= 0; w++)
        gain(d, f->row[w], jobs * f->use[w] / f->room[f->row[w]]);
}

static void gain_path(const Fleet *f, Direction *d, const Path *path, double bytes) {
    for (int h = 0; h < path->hops; h++) {
        int32_t i = (int32_t)f->rows + path->link[h];
        gain(d, i, bytes / f->room[i]);
    }
}

/* The step in [0, most] where the rising and the falling half of the potential balance. */
static double line_search(const Fleet *f, const Direction *d, double most) {
    double step = 0.0;
    for (int round = 0; round < 5; round++) {
        double up = 0.0, down = 0.0, up2 = 0.0, down2 = 0.0;
        for (int k = 0; k < d->count; k++) {
            double g = d->gain[k], weight = f->weight[d->at[k]];
            if (step > 0.0) weight *= exponential(g * step / f->softness);
            if (g > 0.0) { up += weight * g; up2 += weight * g * g; }
            else { down -= weight * g; down2 += weight * g * g; }
        }
        if (down <= 1e-300) return step;
        if (up <= 1e-300) return most;
        double excess = logarithm(up / down), next = step - excess * f->softness / (up2 / up + down2 / down);
        if (round == 0 && excess >= 0.0) return 0.0;
        next = next < 0.0 ? 0.0 : next > most ? most : next;
        double moved = fabs(next - step);
        step = next;
        if (moved <= 1e-3 * most) break;
    }
    return step;
}

static void take(Fleet *f, const Direction *d, double step) {
    for (int k = 0; k < d->count; k++) if (d->gain[k] != 0.0) put(f, d->at[k], d->gain[k] * step);
}

/* ---- routes ---- */

static void cheapest_paths(const Fleet *f, int64_t k, double *distance, int32_t *last) {
    const double *price = f->price + f->rows;
    double dearest = 0.0;
    for (int64_t e = 0; e < f->links; e++) if (price[e] > dearest) dearest = price[e];
    double hop = dearest * 1e-9; /* of equally dear paths the shorter one */
    for (int64_t s = 0; s < f->sites; s++) { distance[s] = INFINITY; last[s] = -1; }
    for (int64_t i = f->source_of[k]; i < f->source_of[k + 1]; i++) distance[f->source[i]] = 0.0;
    for (int round = 0, changed = 1; changed && round < HOPS; round++) {
        changed = 0;
        for (int64_t i = f->way_of[k]; i < f->way_of[k + 1]; i++) {
            int32_t e = f->way[i];
            double through = distance[f->from[e]] + price[e] + hop;
            if (through < distance[f->to[e]]) { distance[f->to[e]] = through; last[f->to[e]] = e; changed = 1; }
        }
    }
}

static void remember(Fleet *f, int64_t at, const int32_t *last, int32_t site) {
    Path found = {0.0, 0, {0}};
    for (int32_t s = site; last[s] >= 0; s = f->from[last[s]]) {
        if (found.hops == HOPS) return;
        found.link[found.hops++] = last[s];
    }
    Path *kept = f->path + at * PATHS;
    int32_t n = f->paths[at], slot = -1;
    for (int32_t i = 0; i < n; i++) {
        if (kept[i].hops == found.hops && !memcmp(kept[i].link, found.link, found.hops * sizeof(int32_t))) return;
        if (kept[i].flow <= 0.0) slot = i;
    }
    if (n < PATHS) slot = f->paths[at]++;
    if (slot >= 0) kept[slot] = found;
}

static double path_price(const Fleet *f, const Path *path) {
    double sum = 0.0;
    for (int h = 0; h < path->hops; h++) sum += f->price[f->rows + path->link[h]];
    return sum;
}

/* Cheapest and dearest path of every commodity to every site; then flow moves from the dearest to the cheapest. */
static void route(Fleet *f) {
    double distance[SITES];
    int32_t last[SITES];
    for (int64_t k = 0; k < f->commodities; k++) {
        cheapest_paths(f, k, distance, last);
        for (int32_t s = 0; s < f->sites; s++) {
            int64_t at = k * f->sites + s;
            f->cheap[at] = f->dear[at] = -1;
            f->least[at] = distance[s] == 0.0 && last[s] < 0 ? 0.0 : INFINITY;
            f->most[at] = 0.0;
            if (last[s] < 0) continue;
            remember(f, at, last, s);
            Path *kept = f->path + at * PATHS;
            for (int32_t i = 0; i < f->paths[at]; i++) {
                double price = path_price(f, kept + i);
                if (price < f->least[at]) { f->least[at] = price; f->cheap[at] = i; }
                if (kept[i].flow > 0.0 && (f->dear[at] < 0 || price > f->most[at])) {
                    f->most[at] = price;
                    f->dear[at] = i;
                }
            }
            if (f->dear[at] < 0 || f->cheap[at] < 0 || f->dear[at] == f->cheap[at]) continue;
            Path *cheap = kept + f->cheap[at], *dear = kept + f->dear[at];
            Direction d = {.count = 0};
            gain_path(f, &d, cheap, 1.0);
            gain_path(f, &d, dear, -1.0);
            double bytes = line_search(f, &d, dear->flow);
            if (bytes <= 0.0) continue;
            cheap->flow += bytes;
            dear->flow -= bytes;
            take(f, &d, bytes);
        }
    }
}

/* ---- classes ---- */

/* Price of bringing all of class j's data to each site, by the paths of `table`. */
static void bring(const Fleet *f, int64_t j, const double *table, double *cost) {
    memset(cost, 0, f->sites * sizeof *cost);
    for (int64_t i = f->need_of[j]; i < f->need_of[j + 1]; i++) {
        const double *price = table + f->need_commodity[i] * f->sites;
        for (int64_t s = 0; s < f->sites; s++) cost[s] += f->need_bytes[i] * price[s];
    }
}

static double column_price(const Fleet *f, int64_t g) {
    if (f->width == 1) return f->price[f->row[g]] * f->use[g];
    double sum = 0.0;
    for (int64_t w = g * f->width; w < (g + 1) * f->width && f->row[w] >= 0; w++)
        sum += f->price[f->row[w]] * f->use[w];
    return sum;
}

static Path *fullest(Fleet *f, int64_t at) {
    Path *kept = f->path + at * PATHS, *found = 0;
    for (int32_t i = 0; i < f->paths[at]; i++) if (kept[i].flow > 0.0 && (!found || kept[i].flow > found->flow)) found = kept + i;
    return found;
}

/* The path that loses flow: the dearest when routes were last made, or the fullest if that has run dry. */
static Path *giving(Fleet *f, int64_t at) {
    if (f->dear[at] >= 0 && f->path[at * PATHS + f->dear[at]].flow > 0.0) return f->path + at * PATHS + f->dear[at];
    return fullest(f, at);
}

/* Bytes of class j to site s, more (sign +1) on the cheapest paths or fewer (-1) on the dearest ones. With `step` 0
 * the direction is noted and the most that can be taken returned; else the flows are changed by it. */
static double carry(Fleet *f, Direction *d, int64_t j, int32_t s, double sign, double jobs, double most, double step) {
    if (s < 0) return most;
    for (int64_t i = f->need_of[j]; i < f->need_of[j + 1]; i++) {
        int64_t at = f->need_commodity[i] * f->sites + s;
        double bytes = jobs * f->need_bytes[i];
        if (bytes <= 0.0 || f->cheap[at] < 0) continue;
        Path *path = sign > 0.0 ? f->path + at * PATHS + f->cheap[at] : giving(f, at);
        if (!path) { if (step == 0.0) return 0.0; continue; }
        if (step > 0.0) {
            path->flow += sign * bytes * step;
            if (path->flow < 1e-9 * bytes) path->flow = path->flow > 0.0 ? path->flow : 0.0;
        } else {
            if (sign < 0.0 && path->flow < bytes * most) most = path->flow / bytes;
            gain_path(f, d, path, sign * bytes);
        }
    }
    return most;
}

static int64_t cheapest_column(const Fleet *f, int64_t j, const double *data) {
    double best = INFINITY;
    int64_t found = f->column_of[j];
    for (int64_t g = f->column_of[j]; g < f->column_of[j + 1]; g++) {
        double price = column_price(f, g) + (f->site[g] >= 0 ? data[f->site[g]] : 0.0);
        if (price < best) { best = price; found = g; }
    }
    return found;
}

static void improve(Fleet *f, int64_t j) {
    double cheap_data[SITES], dear_data[SITES], best = INFINITY, worst = -1.0;
    int64_t to = -1, from = -1;
    bring(f, j, f->least, cheap_data);
    bring(f, j, f->most, dear_data);
    for (int64_t g = f->column_of[j]; g < f->column_of[j + 1]; g++) {
        double price = column_price(f, g);
        int32_t s = f->site[g];
        double low = s >= 0 ? price + cheap_data[s] : price;
        if (low < best) { best = low; to = g; }
        if (f->share[g] > 0.0) {
            double high = s >= 0 ? price + dear_data[s] : price;
            if (high > worst) { worst = high; from = g; }
        }
    }
    if (to < 0 || from < 0 || to == from || worst <= best * (1.0 + 1e-6)) return;
    Direction d = {.count = 0};
    double most = f->share[from], jobs = f->jobs[j];
    gain_column(f, &d, to, jobs);
    gain_column(f, &d, from, -jobs);
    int moves = f->site[to] != f->site[from];
    if (moves) {
        carry(f, &d, j, f->site[to], 1.0, jobs, most, 0.0);
        most = carry(f, &d, j, f->site[from], -1.0, jobs, most, 0.0);
        if (most <= 0.0) return;
    }
    double step = line_search(f, &d, most);
    if (step <= 0.0) return;
    double left = f->share[from] - step;
    f->share[to] += step;
    f->share[from] = left < 1e-12 ? 0.0 : left;
    if (moves) {
        carry(f, &d, j, f->site[to], 1.0, jobs, most, step);
        carry(f, &d, j, f->site[from], -1.0, jobs, most, step);
    }
    take(f, &d, step);
}

static void load_all(Fleet *f) {
    memcpy(f->load, f->held, (f->rows + f->links) * sizeof(double));
    for (int64_t j = 0; j < f->classes; j++)
        for (int64_t g = f->column_of[j]; g < f->column_of[j + 1]; g++)
            if (f->share[g] > 0.0)
                for (int64_t w = g * f->width; w < (g + 1) * f->width && f->row[w] >= 0; w++)
                    f->load[f->row[w]] += f->jobs[j] * f->share[g] * f->use[w] / f->room[f->row[w]];
    for (int64_t at = 0; at < f->commodities * f->sites; at++)
        for (int32_t i = 0; i < f->paths[at]; i++) {
            const Path *path = f->path + at * PATHS + i;
            for (int h = 0; h < path->hops; h++) {
                int64_t e = f->rows + path->link[h];
                f->load[e] += path->flow / f->room[e];
            }
        }
}

/* ---- what kernel.py calls ---- */

const char *ph_large_version(void) { return POLYHULL_KERNEL_VERSION; }

int64_t ph_path_bytes(void) { return PATHS * (int64_t)sizeof(Path); }

/* Classes one after the other, each whole on the column that is cheapest as it comes; `stride` is prime to their
 * number. Shares and flows must be zero. */
void ph_fill(Fleet *f, int64_t stride, int64_t batch) {
    double data[SITES];
    load_all(f);
    for (int64_t i = 0; i < f->classes; i++) {
        if (i % batch == 0) { price_all(f); route(f); }
        int64_t j = i * stride % f->classes;
        bring(f, j, f->least, data);
        int64_t g = cheapest_column(f, j, data);
        Direction d = {.count = 0};
        gain_column(f, &d, g, f->jobs[j]);
        carry(f, &d, j, f->site[g], 1.0, f->jobs[j], 1.0, 0.0);
        carry(f, &d, j, f->site[g], 1.0, f->jobs[j], 1.0, 1.0);
        f->share[g] = 1.0;
        take(f, &d, 1.0);
    }
    load_all(f);
}

/* `count` passes over all classes; the weights' mean over batches is added to `mean`. */
void ph_descend(Fleet *f, int64_t count, int64_t batch, double *mean) {
    int64_t n = f->rows + f->links;
    for (int64_t pass = 0; pass < count; pass++) {
        load_all(f);
        for (int64_t j = 0; j < f->classes; j++) {
            if (j % batch == 0) {
                price_all(f);
                route(f);
                if (mean) for (int64_t i = 0; i < n; i++) mean[i] += f->weight[i] / f->total;
            }
            improve(f, j);
        }
    }
    load_all(f);
}

/* Shares stand; flows are made to bring `demand` (commodities x sites) and then find better ways, `count` times. */
void ph_reroute(Fleet *f, const double *demand, int64_t count) {
    price_all(f);
    route(f);
    for (int64_t at = 0; at < f->commodities * f->sites; at++) {
        Path *kept = f->path + at * PATHS;
        double total = 0.0;
        for (int32_t i = 0; i < f->paths[at]; i++) total += kept[i].flow;
        for (int32_t i = 0; i < f->paths[at]; i++) kept[i].flow *= total > 0.0 ? demand[at] / total : 0.0;
        if (total <= 0.0 && f->cheap[at] >= 0) kept[f->cheap[at]].flow = demand[at];
    }
    load_all(f);
    for (int64_t i = 0; i < count; i++) { price_all(f); route(f); }
    load_all(f);
}

/* sum_j jobs_j min_g price at the caller's prices; a claim that problem.py recomputes before it counts. */
double ph_value(Fleet *f) {
    double data[SITES], sum = 0.0;
    int32_t last[SITES];
    for (int64_t k = 0; k < f->commodities; k++) cheapest_paths(f, k, f->least + k * f->sites, last);
    for (int64_t j = 0; j < f->classes; j++) {
        bring(f, j, f->least, data);
        double best = INFINITY;
        for (int64_t g = f->column_of[j]; g < f->column_of[j + 1]; g++) {
            double price = column_price(f, g) + (f->site[g] >= 0 ? data[f->site[g]] : 0.0);
            if (price < best) best = price;
        }
        sum += f->jobs[j] * best;
    }
    return sum;
}
