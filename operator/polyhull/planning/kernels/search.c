/* planning/search.py: anytime search on a board towards a falling target; and the library's entry points. */
#include "kernel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 16, NARROW = 8, LEAST_RUIN = 3, MOST_RUIN = 12, PATIENCE = 100, PATIENCE_SHARE = 200, JOBS_PER_STEP = 10 };
enum { BANKED = 2 };
static const double TEMPERATURE = 0.02, GRUDGE = 0.01, NEAREST = 3e-4, FARTHEST = 6e-3;

typedef struct {
    double key;
    int32_t job;
} Keyed;

typedef struct {
    const Instance *in;
    const int32_t *ranking; /* every job's columns, the most promising first; laid out as the choices */
    Board board;
    State serial;
    Trial trial;
    Schedule best, other, candidate;
    int32_t *jobs, count; /* those of this tier that have a place, in the order of the first best schedule */
    unsigned char *mine;
    int32_t *allowed, *soonest, *allowed_n; /* jobs x COLUMNS: by the ranking; its first, then by earliest end */
    const int32_t *list;                    /* which of both this step goes by */
    double *size, *work, *weight, *heavy, *latest;
    Jobs bank, next_bank, out, order, pool;
    Keyed *keyed;
    int32_t *at, *seen, seen_stamp;
    int32_t tier, done;
    uint64_t dice;
    double lower_bound, target, resisted, lowest;
    int64_t failures, taken;
} Search;

/* ---- chance: splitmix64 */

static int64_t below(Search *s, int64_t n) {
    s->dice += 0x9E3779B97F4A7C15u;
    uint64_t z = s->dice;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (int64_t)((z ^ (z >> 31)) % (uint64_t)n);
}

static double share(Search *s) { return (double)(below(s, 1 << 20) + 1) / (double)(1 << 20); }

static int by_key(const void *a, const void *b) {
    const Keyed *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x->job < y->job ? -1 : x->job > y->job;
}

/* ---- targets */

static double last_end(const Search *s) {
    double last = 0.0;
    for (int32_t i = 0; i < s->count; i++)
        if (s->best.column[s->jobs[i]] >= 0 && s->best.end[s->jobs[i]] > last) last = s->best.end[s->jobs[i]];
    return last;
}

static void limits(Search *s) {
    const Instance *in = s->in;
    for (int32_t i = 0; i < s->count; i++) {
        int32_t j = s->jobs[i], n = 0;
        double limit = s->target, due = fmin(in->deadline[j], in->promised[j]);
        if (s->best.column[j] >= 0 && s->best.end[j] <= due && due < limit) limit = due;
        s->latest[j] = limit;
        int32_t first = in->choice_of[j], count = in->choice_of[j + 1] - first, best_ranked = s->ranking[first];
        int32_t *ranked = s->allowed + (int64_t)j * COLUMNS, *early = s->soonest + (int64_t)j * COLUMNS;
        for (int32_t c = 0; c < count && n < COLUMNS; c++)
            if (in->soonest[first + s->ranking[first + c]] <= limit) ranked[n++] = s->ranking[first + c];
        int32_t m = 0;
        if (in->soonest[first + best_ranked] <= limit) early[m++] = best_ranked;
        for (int32_t c = 0; c < count && m < COLUMNS; c++)
            if (c != best_ranked && in->soonest[first + c] <= limit) early[m++] = c;
        s->allowed_n[j] = n;
    }
}

static void settle_bank(Search *s) {
    int32_t kept = 0;
    for (int32_t i = 0; i < s->bank.n; i++) {
        int32_t j = s->bank.of[i];
        if (!board_put(&s->board, j, s->allowed + (int64_t)j * COLUMNS, s->allowed_n[j], s->latest[j]))
            s->bank.of[kept++] = j;
    }
    s->bank.n = kept;
}

static void count_bank(Search *s) {
    s->lowest = 0.0, s->failures = 0;
    for (int32_t i = 0; i < s->bank.n; i++) s->lowest += s->weight[s->bank.of[i]];
}

static void aim(Search *s, double target, const Schedule *keep) {
    const Instance *in = s->in;
    s->target = target;
    limits(s);
    board_reset(&s->board);
    for (int64_t i = 0; i < in->jobs; i++) {
        int32_t j = s->best.order[i];
        if (in->tier[j] < s->tier && s->best.column[j] >= 0)
            board_stand(&s->board, j, s->best.column[j]);
    }
    s->bank.n = 0;
    if (keep == NULL) {
        /* Those with few columns first, then the longest; equals stay in the order of jobs. */
        for (int32_t few = 0; few <= 4; few++) {
            int32_t n = 0;
            for (int32_t i = 0; i < s->count; i++) {
                int32_t allowed = s->allowed_n[s->jobs[i]] < 4 ? s->allowed_n[s->jobs[i]] : 4;
                if (allowed == few) s->keyed[n++] = (Keyed){-s->size[s->jobs[i]], i};
            }
            qsort(s->keyed, (size_t)n, sizeof(Keyed), by_key);
            for (int32_t i = 0; i < n; i++) jobs_add(&s->bank, s->jobs[s->keyed[i].job]);
        }
        settle_bank(s);
    } else {
        for (int64_t i = 0; i < in->jobs; i++) {
            int32_t j = keep->order[i];
            if (!s->mine[j]) continue;
            if (keep->column[j] < 0 || !board_put(&s->board, j, keep->column + j, 1, s->latest[j]))
                jobs_add(&s->bank, j);
        }
        settle_bank(s);
    }
    count_bank(s);
}

static void first_target(Search *s) {
    double last = last_end(s), low = s->lower_bound, high = last;
    if (last <= s->lower_bound * (1.0 + 1e-9)) {
        s->done = 1;
        return;
    }
    for (int i = 0; i < 4; i++) {
        double middle = (low + high) / 2;
        aim(s, middle, NULL);
        if (s->bank.n == 0) high = middle;
        else low = middle;
    }
    aim(s, high == last ? high * (1.0 - 1e-4) : high, NULL);
}

/* ---- from the board to a schedule */

static void ordered(Search *s, int by_first_move, Schedule *into) {
    const Instance *in = s->in;
    const Board *board = &s->board;
    for (int64_t i = 0; i < in->jobs; i++) s->at[s->best.order[i]] = (int32_t)i;
    int64_t n = 0;
    for (int64_t tier = 0; tier < in->tiers; tier++) {
        int32_t found = 0;
        for (int64_t i = 0; i < in->jobs; i++) {
            int32_t j = s->best.order[i];
            if (in->tier[j] != tier) continue;
            const Slot *slot = board->slot + j;
            double key = INFINITY;
            if (s->mine[j] && slot->choice >= 0) {
                key = slot->start;
                for (int32_t k = in->move_of[slot->choice]; by_first_move && k < in->move_of[slot->choice + 1]; k++) {
                    double begins = board->state.moved[in->needs[k]].start;
                    if (begins < key) key = begins;
                }
            }
            s->keyed[found++] = (Keyed){key, s->at[j]};
        }
        qsort(s->keyed, (size_t)found, sizeof(Keyed), by_key);
        for (int32_t i = 0; i < found; i++) into->order[n++] = s->best.order[s->keyed[i].job];
    }
    for (int64_t j = 0; j < in->jobs; j++) {
        const Slot *slot = board->slot + j;
        into->column[j] = s->mine[j] && slot->choice >= 0 ? slot->choice - in->choice_of[j] : s->best.column[j];
    }
    run(&s->serial, into, NULL, &s->trial);
}

static void swap_schedules(Schedule *a, Schedule *b) {
    Schedule kept = *a;
    *a = *b;
    *b = kept;
}

/* The board as it would be executed, into `candidate`. */
static void executed(Search *s) {
    ordered(s, 0, &s->candidate);
    if (s->in->tiers > 1 || s->count < s->in->jobs || schedule_less(&s->candidate, &s->best, s->in)) return;
    ordered(s, 1, &s->other);
    if (schedule_less(&s->other, &s->candidate, s->in)) swap_schedules(&s->other, &s->candidate);
}

static void success(Search *s) {
    executed(s);
    if (schedule_less(&s->candidate, &s->best, s->in)) schedule_copy(&s->best, &s->candidate, s->in);
    double last = last_end(s);
    if (s->target < last) last = s->target;
    if (last <= s->lower_bound * (1.0 + 1e-9)) {
        s->done = 1;
        return;
    }
    if (last < s->resisted) s->resisted = last;
    double step = fmax(0.15 * (last - s->resisted), 0.001 * last);
    aim(s, fmax(s->lower_bound, last - step), &s->best);
}

static void give_up(Search *s) {
    double last = last_end(s), nearest = last * (1.0 - NEAREST);
    if (s->target >= nearest) {
        s->resisted = s->lower_bound;
        aim(s, fmax(s->lower_bound, last * (1.0 - FARTHEST)), &s->best);
        return;
    }
    s->resisted = s->target;
    s->target = fmin((s->target + last) / 2, nearest);
    limits(s);
    settle_bank(s);
    count_bank(s);
}

/* ---- one step */

static int32_t random_choice(Search *s, int32_t j) {
    int32_t n = below(s, 4) && s->allowed_n[j] > NARROW ? NARROW : s->allowed_n[j];
    return s->in->choice_of[j] + s->list[(int64_t)j * COLUMNS + below(s, n)];
}

static int by_number(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}

static void consider(Search *s, int32_t j) {
    if (s->seen[j] == s->seen_stamp) return;
    s->seen[j] = s->seen_stamp;
    jobs_add(&s->pool, j);
}

static void on_links(Search *s, int32_t choice) {
    const Instance *in = s->in;
    for (int32_t k = in->move_of[choice]; k < in->move_of[choice + 1]; k++)
        for (int32_t way = in->way_of[in->needs[k]]; way < in->way_of[in->needs[k] + 1]; way++)
            for (int32_t l = in->way_link_of[way]; l < in->way_link_of[way + 1]; l++) {
                const Jobs *moves = s->board.carries + in->way_link[l];
                for (int32_t m = 0; m < moves->n; m++) {
                    const Jobs *readers = s->board.readers + moves->of[m];
                    for (int32_t r = 0; r < readers->n; r++) consider(s, readers->of[r]);
                }
            }
}

/* What is in the way of a job in one of its columns: transfers if its data would come too late, else the pool's jobs. */
static void in_the_way(Search *s, int32_t j, int32_t choice) {
    const Instance *in = s->in;
    int moves = in->move_of[choice + 1] > in->move_of[choice];
    int fits = try_choice(&s->board.state, choice, INFINITY, &s->trial);
    int links = moves && (!fits || s->trial.ready + in->length[choice] > s->latest[j]);
    if (below(s, 8) == 0) links = moves && !links;
    if (links) {
        on_links(s, choice);
    } else {
        for (int32_t g = in->gang_of[choice]; g < in->gang_of[choice + 1]; g++) {
            const Jobs *there = s->board.on_pool + in->gang_pool[g];
            for (int32_t i = 0; i < there->n; i++) consider(s, there->of[i]);
        }
    }
    if (s->pool.n > 0) qsort(s->pool.of, (size_t)s->pool.n, sizeof(int32_t), by_number);
}

static void victims(Search *s, int32_t seed) {
    s->seen_stamp++;
    s->pool.n = s->out.n = 0;
    in_the_way(s, seed, random_choice(s, seed));
    if (below(s, 3)) {
        int32_t other = seed;
        if (s->pool.n > 0 && below(s, 3) == 0) {
            other = s->pool.of[below(s, s->pool.n)];
            if (s->allowed_n[other] == 0) other = seed;
        }
        in_the_way(s, other, random_choice(s, other));
    }
    int64_t most = LEAST_RUIN + below(s, MOST_RUIN - LEAST_RUIN + 1);
    if (s->pool.n == 0) return;
    double centre = s->board.slot[s->pool.of[below(s, s->pool.n)]].start;
    for (int32_t i = 0; i < s->pool.n; i++)
        s->keyed[i] = (Keyed){fabs(s->board.slot[s->pool.of[i]].start - centre), s->pool.of[i]};
    qsort(s->keyed, (size_t)s->pool.n, sizeof(Keyed), by_key);
    for (int64_t i = 0; i < most && i < s->pool.n; i++) jobs_add(&s->out, s->keyed[i].job);
}

/* The seed and others of the bank, drawn to its front: how many. */
static int32_t drawn(Search *s, int32_t seed_at) {
    int32_t *of = s->bank.of, n = s->bank.n < BANKED ? s->bank.n : BANKED;
    for (int32_t i = 0; i < n; i++) {
        int32_t at = i == 0 ? seed_at : i + (int32_t)below(s, s->bank.n - i), job = of[at];
        of[at] = of[i], of[i] = job;
    }
    return n;
}

static void shuffled(Search *s, int32_t seed, int32_t banked) {
    int32_t n = 0, kind = (int32_t)below(s, 6);
    const double *size = kind <= 2 ? s->work : s->size;
    for (int32_t from = 0; from < 2; from++) {
        const Jobs *jobs = from == 0 ? &s->out : &s->bank;
        for (int32_t i = 0; i < (from == 0 ? jobs->n : banked); i++) {
            int32_t j = jobs->of[i];
            double key = share(s);
            if (kind != 0) key = -size[j] * (0.6 + 0.8 * key) * (s->allowed_n[j] <= 3 ? 2.0 : 1.0);
            s->keyed[n++] = (Keyed){key, j};
        }
    }
    qsort(s->keyed, (size_t)n, sizeof(Keyed), by_key);
    s->order.n = 0;
    int first = below(s, 3) == 0;
    if (first) jobs_add(&s->order, seed);
    for (int32_t i = 0; i < n; i++)
        if (!first || s->keyed[i].job != seed) jobs_add(&s->order, s->keyed[i].job);
}

/* It grows with the steps taken: early on many targets are tried, later on each for long. */
static int64_t patience(const Search *s) { return PATIENCE + s->taken / PATIENCE_SHARE; }

static void step(Search *s) {
    s->failures++;
    int32_t seed_at = (int32_t)below(s, s->bank.n), seed = s->bank.of[seed_at];
    if (s->allowed_n[seed] == 0) {
        s->failures = patience(s);
        return;
    }
    board_begin(&s->board);
    s->list = below(s, 2) ? s->allowed : s->soonest;
    victims(s, seed);
    for (int32_t i = 0; i < s->out.n; i++) board_remove(&s->board, s->out.of[i]);
    int32_t banked = drawn(s, seed_at);
    shuffled(s, seed, banked);
    double before = 0.0, cost = 0.0, weight = 0.0;
    s->next_bank.n = 0;
    for (int32_t i = 0; i < s->bank.n; i++) {
        int32_t j = s->bank.of[i];
        before += s->heavy[j];
        if (i < banked) continue;
        jobs_add(&s->next_bank, j);
        cost += s->heavy[j], weight += s->weight[j];
    }
    double most = before - TEMPERATURE * log(share(s));
    int soonest = below(s, 3) == 0;
    int32_t breadth = below(s, 2) ? NARROW : COLUMNS;
    for (int32_t i = 0; i < s->order.n; i++) {
        int32_t j = s->order.of[i], columns[COLUMNS];
        int32_t n = s->allowed_n[j] < breadth ? s->allowed_n[j] : breadth;
        int32_t turn = below(s, 4) == 0 && n > 0 ? (int32_t)below(s, n) : 0;
        for (int32_t k = 0; k < n; k++) columns[k] = s->list[(int64_t)j * COLUMNS + (turn + k) % n];
        int put = soonest ? board_put_soonest(&s->board, j, columns, n, s->latest[j])
                          : board_put(&s->board, j, columns, n, s->latest[j]);
        if (put) continue;
        jobs_add(&s->next_bank, j);
        cost += s->heavy[j], weight += s->weight[j];
        if (cost > most) {
            board_undo(&s->board);
            s->heavy[seed] += GRUDGE * s->weight[seed];
            return;
        }
    }
    Jobs kept = s->bank;
    s->bank = s->next_bank, s->next_bank = kept;
    if (weight < s->lowest) s->lowest = weight, s->failures = 0;
}

/* ---- entry points */

/* A search of one tier from (order, column); -1 as a column: the earliest finish wins. */
Search *ph_open(const Instance *in, const int32_t *ranking, int32_t tier, const int32_t *order, const int32_t *column,
                double lower_bound, uint64_t seed) {
    Search *s = zeroed(sizeof *s);
    s->in = in, s->ranking = ranking, s->tier = tier, s->dice = seed;
    board_open(&s->board, in);
    state_open(&s->serial, in);
    trial_open(&s->trial, in);
    schedule_open(&s->best, in);
    schedule_open(&s->other, in);
    schedule_open(&s->candidate, in);
    s->jobs = zeroed(in->jobs * (int64_t)sizeof(int32_t));
    s->mine = zeroed(in->jobs);
    s->allowed = zeroed(in->jobs * COLUMNS * (int64_t)sizeof(int32_t));
    s->soonest = zeroed(in->jobs * COLUMNS * (int64_t)sizeof(int32_t));
    s->allowed_n = zeroed(in->jobs * (int64_t)sizeof(int32_t));
    s->size = zeroed(in->jobs * (int64_t)sizeof(double));
    s->work = zeroed(in->jobs * (int64_t)sizeof(double));
    s->weight = zeroed(in->jobs * (int64_t)sizeof(double));
    s->heavy = zeroed(in->jobs * (int64_t)sizeof(double));
    s->latest = zeroed(in->jobs * (int64_t)sizeof(double));
    s->keyed = zeroed(in->jobs * (int64_t)sizeof(Keyed));
    s->at = zeroed(in->jobs * (int64_t)sizeof(int32_t));
    s->seen = zeroed(in->jobs * (int64_t)sizeof(int32_t));
    memcpy(s->best.order, order, (size_t)in->jobs * sizeof(int32_t));
    memcpy(s->best.column, column, (size_t)in->jobs * sizeof(int32_t));
    run(&s->serial, &s->best, NULL, &s->trial);
    double total = 0.0, alone = 0.0;
    for (int64_t i = 0; i < in->jobs; i++) {
        int32_t j = order[i];
        if (in->tier[j] != tier || s->best.column[j] < 0) continue;
        s->jobs[s->count++] = j, s->mine[j] = 1;
        int32_t first = in->choice_of[j] + ranking[in->choice_of[j]];
        double least = INFINITY, soonest = INFINITY;
        for (int32_t c = in->choice_of[j]; c < in->choice_of[j + 1]; c++) {
            double work = in->length[c] * (in->devices[c] > 1 ? in->devices[c] : 1);
            if (work < least) least = work;
            if (in->soonest[c] < soonest) soonest = in->soonest[c];
        }
        s->size[j] = in->length[first];
        s->work[j] = s->size[j] * (in->devices[first] > 1 ? in->devices[first] : 1);
        s->weight[j] = least;
        total += least;
        if (soonest > alone) alone = soonest;
    }
    if (s->count == 0) {
        s->done = 1;
        return s;
    }
    double mean = fmax(total / s->count, 1e-9);
    for (int32_t i = 0; i < s->count; i++) {
        int32_t j = s->jobs[i];
        s->heavy[j] = s->weight[j] = 0.3 + s->weight[j] / mean;
    }
    s->lower_bound = in->tiers == 1 ? fmax(alone, lower_bound) : alone;
    s->resisted = s->lower_bound;
    first_target(s);
    return s;
}

int64_t ph_search(Search *s, int64_t steps) {
    int64_t before = s->taken, all_jobs = s->in->jobs / JOBS_PER_STEP > 1 ? s->in->jobs / JOBS_PER_STEP : 1;
    while (s->taken - before < steps && !s->done) {
        if (s->bank.n == 0) {
            success(s);
            s->taken += all_jobs;
        } else {
            if (s->failures >= patience(s)) give_up(s);
            else step(s);
            s->taken++;
        }
    }
    return s->taken - before < steps ? s->taken - before : steps;
}

int32_t ph_best(const Search *s, int32_t *order, int32_t *column, double *score) {
    memcpy(order, s->best.order, (size_t)s->in->jobs * sizeof(int32_t));
    memcpy(column, s->best.column, (size_t)s->in->jobs * sizeof(int32_t));
    memcpy(score, s->best.score, (size_t)(1 + 2 * s->in->tiers) * sizeof(double));
    return s->done;
}

/* The digest of the sources it was built from: the loader takes no other. */
const char *ph_version(void) { return POLYHULL_KERNEL_VERSION; }

/* One order through the simulation; `column` (-1: the earliest finish wins) comes back as chosen, -1 for what never
 * fits. `seat_of[j]` is where the seats of job j go; `times` has start, ready, end, waits of each job. */
void ph_run(const Instance *in, const int32_t *order, int32_t *column, double *times, const int32_t *seat_of,
            int32_t *seats, Seat *seat, Moved *moved) {
    State state;
    Trial trial;
    Schedule schedule;
    state_open(&state, in);
    trial_open(&trial, in);
    schedule_open(&schedule, in);
    memcpy(schedule.order, order, (size_t)in->jobs * sizeof(int32_t));
    memcpy(schedule.column, column, (size_t)in->jobs * sizeof(int32_t));
    Slot *slots = slots_open(in);
    run(&state, &schedule, slots, &trial);
    for (int64_t j = 0; j < in->jobs; j++) {
        const Slot *slot = slots + j;
        column[j] = schedule.column[j];
        seats[j] = slot->choice < 0 ? 0 : slot->seats;
        times[4 * j] = slot->start, times[4 * j + 1] = slot->ready;
        times[4 * j + 2] = slot->end, times[4 * j + 3] = slot->waits;
        memcpy(seat + seat_of[j], slot->seat, (size_t)seats[j] * sizeof(Seat));
    }
    memcpy(moved, state.moved, (size_t)in->moves * sizeof(Moved));
    slots_close(slots, in);
    schedule_close(&schedule);
    trial_close(&trial);
    state_close(&state);
}

void ph_close(Search *s) {
    board_close(&s->board);
    state_close(&s->serial);
    trial_close(&s->trial);
    schedule_close(&s->best);
    schedule_close(&s->other);
    schedule_close(&s->candidate);
    free(s->jobs);
    free(s->mine);
    free(s->allowed);
    free(s->soonest);
    free(s->allowed_n);
    free(s->size);
    free(s->work);
    free(s->weight);
    free(s->heavy);
    free(s->latest);
    free(s->bank.of);
    free(s->next_bank.of);
    free(s->out.of);
    free(s->order.of);
    free(s->pool.of);
    free(s->keyed);
    free(s->at);
    free(s->seen);
    free(s);
}
