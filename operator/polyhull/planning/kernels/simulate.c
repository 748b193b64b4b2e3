/* planning/simulate.py and packing.py: serial schedule generation on a State. */
#include "kernel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int32_t most_of(const int32_t *offsets, int64_t n) {
    int32_t most = 1;
    for (int64_t i = 0; i < n; i++)
        if (offsets[i + 1] - offsets[i] > most) most = offsets[i + 1] - offsets[i];
    return most;
}

void trial_open(Trial *trial, const Instance *in) {
    int32_t seats = 1;
    for (int64_t c = 0; c < in->choices; c++)
        if (in->replicas[c] > seats) seats = in->replicas[c];
    trial->choice = -1;
    trial->seats = trial->plans = 0;
    trial->seat = zeroed(seats * (int64_t)sizeof(Seat));
    trial->plan = zeroed(most_of(in->move_of, in->choices) * (int64_t)sizeof(Planned));
}

void trial_close(Trial *trial) {
    free(trial->seat);
    free(trial->plan);
}

void state_open(State *state, const Instance *in) {
    memset(state, 0, sizeof *state);
    state->in = in;
    state->base = zeroed((in->pools + 1) * (int64_t)sizeof(int32_t));
    state->count = zeroed(in->pools * (int64_t)sizeof(int32_t));
    state->born = zeroed(in->pools * (int64_t)sizeof(int32_t));
    int32_t most = 1;
    for (int64_t p = 0; p < in->pools; p++) {
        int32_t here = in->node_of[p + 1] - in->node_of[p] + (in->unborn[p] > 0 ? in->unborn[p] : 0);
        state->base[p + 1] = state->base[p] + here;
        if (here > most) most = here;
    }
    state->node = zeroed(state->base[in->pools] * (int64_t)sizeof(Steps));
    state->link = zeroed(in->links * (int64_t)sizeof(Steps));
    state->moved = zeroed(in->moves * (int64_t)sizeof(Moved));
    state->left = zeroed(in->budgets * (int64_t)sizeof(int64_t));
    state->room = zeroed(most * (int64_t)sizeof(Room));
    state->overlay = zeroed(in->links * (int64_t)sizeof(Steps));
    state->overlaid = zeroed(in->links * (int64_t)sizeof(int32_t));
    state->path = zeroed(most_of(in->way_link_of, in->ways) * (int64_t)sizeof(Steps *));
    state->wanted = zeroed(in->budgets * (int64_t)sizeof(int64_t));
    state->fresh = zeroed(most_of(in->move_of, in->choices) * (int64_t)sizeof(int32_t));
    trial_open(&state->other, in);
    trial_open(&state->spare, in);
    state_reset(state);
}

static void load(Steps *s, const double *time, int32_t from, int32_t to) {
    if (to - from > s->room) {
        s->room = to - from + 4;
        s->time = reserve(s->time, s->room * (int64_t)sizeof(double));
        s->free = NULL;
    }
    s->n = to - from;
    memcpy(s->time, time + from, (size_t)s->n * sizeof(double));
}

void state_reset(State *state) {
    const Instance *in = state->in;
    for (int64_t p = 0; p < in->pools; p++) {
        int dims = in->dims[p];
        state->count[p] = in->node_of[p + 1] - in->node_of[p];
        state->born[p] = 0;
        for (int32_t i = 0; i < state->count[p]; i++) {
            Steps *s = state->node + state->base[p] + i;
            int32_t from = in->node_step_of[in->node_of[p] + i], to = in->node_step_of[in->node_of[p] + i + 1];
            Value *old = s->free;
            load(s, in->node_time, from, to);
            if (s->free == NULL) s->free = reserve(old, s->room * (int64_t)dims * (int64_t)sizeof(Value));
            for (int32_t k = 0; k < s->n; k++)
                for (int d = 0; d < dims; d++)
                    s->free[(int64_t)k * dims + d].units = in->node_free[(int64_t)(from + k) * DIMS + d];
        }
    }
    for (int64_t e = 0; e < in->links; e++) {
        Steps *s = state->link + e;
        int32_t from = in->link_step_of[e];
        Value *old = s->free;
        load(s, in->link_time, from, in->link_step_of[e + 1]);
        if (s->free == NULL) s->free = reserve(old, s->room * (int64_t)sizeof(Value));
        for (int32_t k = 0; k < s->n; k++) s->free[k].rate = in->link_free[from + k];
    }
    for (int64_t m = 0; m < in->moves; m++)
        state->moved[m] = (Moved){in->made_way[m], in->made_start[m], in->made_end[m]};
    memcpy(state->left, in->left, (size_t)in->budgets * sizeof(int64_t));
}

void state_close(State *state) {
    for (int64_t i = 0; i < state->base[state->in->pools]; i++) steps_free(state->node + i);
    for (int64_t e = 0; e < state->in->links; e++) steps_free(state->link + e), steps_free(state->overlay + e);
    free(state->base);
    free(state->count);
    free(state->born);
    free(state->node);
    free(state->link);
    free(state->moved);
    free(state->left);
    free(state->room);
    free(state->overlay);
    free(state->overlaid);
    free(state->path);
    free(state->wanted);
    free(state->fresh);
    trial_close(&state->other);
    trial_close(&state->spare);
}

/* ---- data */

static int earliest_move(State *state, int32_t move, Moved *found) {
    const Instance *in = state->in;
    found->way = -1;
    for (int32_t way = in->way_of[move]; way < in->way_of[move + 1]; way++) {
        double seconds = in->way_seconds[way];
        if (found->way >= 0 && seconds >= found->end) continue;
        int count = 0;
        for (int32_t k = in->way_link_of[way]; k < in->way_link_of[way + 1]; k++) {
            int32_t e = in->way_link[k];
            state->path[count++] = state->overlaid[e] ? state->overlay + e : state->link + e;
        }
        double start = earliest_rate(state->path, in->way_rate + in->way_link_of[way], count, 0.0, seconds);
        if (start < INFINITY && (found->way < 0 || start + seconds < found->end))
            *found = (Moved){way - in->way_of[move], start, start + seconds};
    }
    return found->way >= 0;
}

/* Are there copies and bytes left for all fresh moves together? */
static int allowed(State *state, int32_t fresh) {
    const Instance *in = state->in;
    memset(state->wanted, 0, (size_t)in->budgets * sizeof(int64_t));
    for (int32_t i = 0; i < fresh; i++)
        for (int32_t d = in->draw_of[state->fresh[i]]; d < in->draw_of[state->fresh[i] + 1]; d++)
            state->wanted[in->draw_budget[d]] += in->draw_amount[d];
    for (int64_t b = 0; b < in->budgets; b++)
        if (state->wanted[b] > 0 && state->wanted[b] > state->left[b]) return 0;
    return 1;
}

/* Longest first, ties by index: `fresh` comes in ascending order. */
static void longest_first(const Instance *in, int32_t *fresh, int32_t n) {
    for (int32_t i = 1; i < n; i++) {
        int32_t move = fresh[i], k = i;
        for (; k > 0 && in->move_seconds[fresh[k - 1]] < in->move_seconds[move]; k--) fresh[k] = fresh[k - 1];
        fresh[k] = move;
    }
}

static double data_ready(State *state, int32_t choice, Trial *out) {
    const Instance *in = state->in;
    double ready = 0.0;
    int32_t fresh = 0;
    out->plans = 0;
    for (int32_t i = in->move_of[choice]; i < in->move_of[choice + 1]; i++) {
        int32_t move = in->needs[i];
        if (state->moved[move].way < 0) state->fresh[fresh++] = move;
        else if (state->moved[move].end > ready) ready = state->moved[move].end;
    }
    if (fresh == 0) return ready;
    if (in->budgets > 0 && !allowed(state, fresh)) return INFINITY;
    longest_first(in, state->fresh, fresh);
    for (int32_t i = 0; i < fresh; i++) {
        Planned *planned = out->plan + i;
        planned->move = state->fresh[i];
        if (!earliest_move(state, planned->move, &planned->at)) {
            ready = INFINITY;
            break;
        }
        out->plans = i + 1;
        if (planned->at.end > ready) ready = planned->at.end;
        if (i + 1 == fresh) break;
        int32_t way = in->way_of[planned->move] + planned->at.way;
        for (int32_t k = in->way_link_of[way]; k < in->way_link_of[way + 1]; k++) {
            int32_t e = in->way_link[k];
            if (!state->overlaid[e]) steps_copy(state->overlay + e, state->link + e, 1);
            state->overlaid[e] = 1;
            take_rate(state->overlay + e, planned->at.start, planned->at.end, in->way_rate[k]);
        }
    }
    for (int32_t i = 0; fresh > 1 && i < out->plans; i++) {
        int32_t way = in->way_of[out->plan[i].move] + out->plan[i].at.way;
        for (int32_t k = in->way_link_of[way]; k < in->way_link_of[way + 1]; k++) state->overlaid[in->way_link[k]] = 0;
    }
    if (ready == INFINITY) out->plans = 0;
    return ready;
}

/* ---- nodes */

static int64_t least_free(const Steps *s, int dims, double start, double length) {
    int32_t i = s->n - 1;
    while (i > 0 && s->time[i] > start) i--;
    int64_t least = s->free[(int64_t)i * dims].units;
    double end = start + length;
    for (i++; i < s->n && s->time[i] < end; i++)
        if (s->free[(int64_t)i * dims].units < least) least = s->free[(int64_t)i * dims].units;
    return least;
}

static int by_fullness(const void *a, const void *b) {
    const Room *x = a, *y = b;
    if (x->free != y->free) return x->free < y->free ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int by_node(const void *a, const void *b) {
    const Seat *x = a, *y = b;
    return x->node < y->node ? -1 : x->node > y->node;
}

/* packing.choose: whole into the fullest node that holds the gang, else the fullest nodes first. */
static int32_t choose(Room *rooms, int32_t count, int64_t replicas, Seat *seat) {
    qsort(rooms, (size_t)count, sizeof(Room), by_fullness);
    for (int32_t i = 0; i < count; i++) {
        if (rooms[i].pods >= replicas) {
            seat[0] = (Seat){rooms[i].index, (int32_t)replicas};
            return 1;
        }
    }
    int32_t used = 0;
    for (int32_t i = 0; i < count && replicas > 0; i++) {
        int32_t take = rooms[i].pods < replicas ? rooms[i].pods : (int32_t)replicas;
        seat[used++] = (Seat){rooms[i].index, take};
        replicas -= take;
    }
    qsort(seat, (size_t)used, sizeof(Seat), by_node);
    return used;
}

static double earliest_single(
    State *state, int32_t pool, int32_t nodes, int64_t need, double ready, double length, double latest, Trial *out
) {
    const Steps *node = state->node + state->base[pool];
    double start = INFINITY;
    int32_t chosen = -1;
    int64_t room = 0;
    for (int32_t i = 0; i < nodes; i++) {
        const Steps *s = node + i;
        double at = INFINITY;
        if (s->n > 1) at = earliest_one(s, need, ready, length, latest);
        else if (s->free[0].units >= need) at = ready;
        if (at < start) {
            start = at, chosen = i, room = least_free(s, 1, at, length);
            if (at < latest) latest = at;
        } else if (at == start && at < INFINITY) {
            int64_t left = least_free(s, 1, at, length);
            if (left < room) chosen = i, room = left;
        }
    }
    out->seats = 0;
    if (chosen >= 0) out->seats = 1, out->seat[0] = (Seat){chosen, 1};
    return start;
}

/* On the first `nodes` of its pool and so many unborn ones. */
static double earliest_gang(State *state, int32_t gang, int32_t nodes, double ready, double length, int32_t unborn,
                            int64_t per_node, double latest, Trial *out) {
    const Instance *in = state->in;
    int32_t pool = in->gang_pool[gang], replicas = in->gang_replicas[gang];
    int dims = in->dims[pool];
    const int64_t *pod = in->pod + (int64_t)gang * DIMS;
    if (replicas == 1 && dims == 1 && unborn == 0)
        return earliest_single(state, pool, nodes, pod[0], ready, length, latest, out);
    const Steps *node = state->node + state->base[pool];
    double start = ready;
    out->seats = 0;
    for (;;) {
        int64_t inside = 0;
        double later = INFINITY;
        int32_t rooms = 0;
        for (int32_t i = 0; i < nodes; i++) {
            double more;
            int64_t pods = window(node + i, dims, pod, start, length, &more);
            if (pods > 0) inside += pods, state->room[rooms++] = (Room){i, (int32_t)pods, 0};
            if (more < later) later = more;
        }
        if (inside + unborn * per_node >= replicas) {
            for (int32_t i = 0; i < rooms; i++)
                state->room[i].free = least_free(node + state->room[i].index, dims, start, length);
            if (inside > 0)
                out->seats = choose(state->room, rooms, inside < replicas ? inside : replicas, out->seat);
            return start;
        }
        if (later == INFINITY || later > latest) return INFINITY;
        start = later;
    }
}

static int32_t unborn_of(const State *state, int32_t pool) {
    int32_t unborn = state->in->unborn[pool] - state->born[pool];
    return unborn > 0 ? unborn : 0;
}

/* Pods of a gang that an unborn node of its pool holds. */
static int64_t per_node_of(const State *state, int32_t gang) {
    const Instance *in = state->in;
    int32_t pool = in->gang_pool[gang];
    Value shape[DIMS];
    for (int k = 0; k < DIMS; k++) shape[k].units = in->shape[(int64_t)pool * DIMS + k];
    return copies(shape, in->pod + (int64_t)gang * DIMS, in->dims[pool]);
}

/* What of a gang has no seat yet, its seats being those from `first` on, goes onto unborn nodes: are there any? */
static int with_growth(const State *state, int32_t gang, int64_t per_node, int32_t first, Trial *out) {
    int64_t left = state->in->gang_replicas[gang];
    int32_t index = state->count[state->in->gang_pool[gang]];
    for (int32_t i = first; i < out->seats; i++) left -= out->seat[i].pods;
    int grown = left > 0;
    for (; left > 0; left -= per_node)
        out->seat[out->seats++] = (Seat){index++, (int32_t)(left < per_node ? left : per_node)};
    return grown;
}

/* Several gangs that start together and stay for `length`; `grow`: on unborn nodes too. Seats of one gang after the
 * other. */
static double together(State *state, int32_t choice, double ready, double length, int grow, double latest, Trial *out) {
    const Instance *in = state->in;
    int32_t first = in->gang_of[choice], count = in->gang_of[choice + 1] - first, settled = 0;
    int32_t used[MOST_GANGS], unborn[MOST_GANGS];
    int64_t per_node[MOST_GANGS];
    Trial *one = &state->other;
    for (int32_t k = 0; k < count; k++) {
        unborn[k] = grow ? unborn_of(state, in->gang_pool[first + k]) : 0;
        per_node[k] = unborn[k] > 0 ? per_node_of(state, first + k) : 0;
    }
    while (settled < count) {
        for (int32_t k = 0, at = 0; k < count && settled < count; at += in->gang_replicas[first + k++]) {
            int32_t there = state->count[in->gang_pool[first + k]];
            double start = earliest_gang(state, first + k, there, ready, length, unborn[k], per_node[k], latest, one);
            if (start == INFINITY) return INFINITY;
            settled = start > ready ? 1 : settled + 1;
            ready = start;
            used[k] = one->seats;
            memcpy(out->seat + at, one->seat, (size_t)one->seats * sizeof(Seat));
        }
    }
    out->seats = 0, out->waits = 0.0;
    for (int32_t k = 0, at = 0; k < count; at += in->gang_replicas[first + k++]) {
        int32_t mine = out->seats;
        memmove(out->seat + mine, out->seat + at, (size_t)used[k] * sizeof(Seat));
        out->seats += used[k];
        double provision = in->provision[in->gang_pool[first + k]];
        if (grow && with_growth(state, first + k, per_node[k], mine, out) && provision > out->waits)
            out->waits = provision;
    }
    return ready;
}

/* All wait for the last node that growth adds for one of them, if they end earlier so. */
static double seat_all(State *state, int32_t choice, double ready, double limit, Trial *out) {
    const Instance *in = state->in;
    double length = in->length[choice], longest = 0.0;
    double start = together(state, choice, ready, length, 0, limit - length, out);
    int growing = 0;
    for (int32_t g = in->gang_of[choice]; g < in->gang_of[choice + 1]; g++) {
        int32_t pool = in->gang_pool[g];
        if (unborn_of(state, pool) == 0) continue;
        growing = 1;
        if (in->provision[pool] > longest) longest = in->provision[pool];
    }
    if (!growing || start <= ready) return start;
    double later = together(state, choice, ready, length + longest, 1, INFINITY, out);
    if (later != INFINITY && later + out->waits < start) return later;
    return together(state, choice, ready, length, 0, limit - length, out);
}

/* Seats and start of the gang from `ready` on, on nodes that are there or, if it ends earlier, on grown ones too. */
static double seat(State *state, int32_t choice, double ready, double limit, Trial *out) {
    const Instance *in = state->in;
    int32_t gang = in->gang_of[choice], pool = in->gang_pool[gang], nodes = state->count[pool];
    double length = in->length[choice];
    out->waits = 0.0;
    if (in->gang_of[choice + 1] - gang > 1) return seat_all(state, choice, ready, limit, out);
    double start = earliest_gang(state, gang, nodes, ready, length, 0, 0, limit - length, out);
    int32_t unborn = unborn_of(state, pool);
    if (unborn > 0 && start > ready) {
        int64_t per_node = per_node_of(state, gang);
        double longer = length + in->provision[pool];
        Trial *other = &state->other;
        double later = earliest_gang(state, gang, nodes, ready, longer, unborn, per_node, INFINITY, other);
        if (later + longer < start + length) {
            start = later, out->waits = in->provision[pool];
            with_growth(state, gang, per_node, 0, other);
            out->seats = other->seats;
            memcpy(out->seat, other->seat, (size_t)other->seats * sizeof(Seat));
        }
    }
    return start;
}

/* Seconds from the begin on that a load is taken, and for how long. */
static double when(const Instance *in, int32_t load, double waits, double *seconds) {
    double after = in->load_after[load];
    *seconds = after >= 0.0 ? in->load_seconds[load] : in->load_seconds[load] + waits;
    return after >= 0.0 ? after : -waits;
}

/* The least x with x + after >= at. */
static double before(double at, double after) {
    double x = at - after;
    while (x + after < at) x = nextafter(x, INFINITY);
    return x;
}

/* The earliest begin >= `begin` at which every link has what the choice takes of it. */
static double earliest_loads(State *state, int32_t choice, double begin, double waits) {
    const Instance *in = state->in;
    int32_t first = in->load_of[choice], count = in->load_of[choice + 1] - first, settled = 0;
    for (int32_t k = 0; settled < count; k = (k + 1) % count) {
        Steps *link = state->link + in->load_link[first + k];
        double seconds, after = when(in, first + k, waits, &seconds), asked = begin + after;
        double at = earliest_rate(&link, in->load_rate + first + k, 1, asked, seconds);
        if (at == INFINITY) return INFINITY;
        if (at > asked) begin = before(at, after), settled = 1;
        else settled++;
    }
    return begin;
}

/* The earliest slot of one column into `out`; 0 if there is none (one that ends beyond `limit` may be none). */
int try_choice(State *state, int32_t choice, double limit, Trial *out) {
    const Instance *in = state->in;
    double length = in->length[choice], ready = data_ready(state, choice, out), start;
    out->choice = choice;
    if (in->head[choice] > ready) ready = in->head[choice];
    for (double from = ready;;) {
        if (from == INFINITY || from + length > limit) return 0;
        start = seat(state, choice, from, limit, out);
        if (start == INFINITY) return 0;
        double begin = start + out->waits, free = earliest_loads(state, choice, begin, out->waits);
        if (free <= begin) break;
        from = free == INFINITY ? INFINITY : before(free, out->waits);
    }
    out->start = start, out->ready = ready, out->end = start + out->waits + length;
    return 1;
}

static void swap(Trial *a, Trial *b) {
    Trial kept = *a;
    *a = *b;
    *b = kept;
}

/* Earliest finish over the job's columns, or of the one prescribed; ties: fewer bytes moved, then the place in the list. */
int best(State *state, int32_t job, int32_t prescribed, Trial *out) {
    const Instance *in = state->in;
    int32_t first = in->choice_of[job], last = in->choice_of[job + 1];
    if (prescribed >= 0) return try_choice(state, first + prescribed, INFINITY, out);
    int found = 0;
    Trial *trial = &state->spare;
    for (int32_t c = first; c < last; c++) {
        if (found && in->soonest[c] >= out->end) break;
        if (!try_choice(state, c, INFINITY, trial)) continue;
        if (!found || trial->end < out->end ||
            (trial->end == out->end && in->moved_bytes[c] < in->moved_bytes[out->choice])) {
            swap(out, trial);
            found = 1;
        }
    }
    return found;
}

void commit_moves(State *state, const Trial *trial) {
    const Instance *in = state->in;
    for (int32_t i = 0; i < trial->plans; i++) {
        const Planned *planned = trial->plan + i;
        int32_t way = in->way_of[planned->move] + planned->at.way;
        state->moved[planned->move] = planned->at;
        for (int32_t k = in->way_link_of[way]; k < in->way_link_of[way + 1]; k++)
            take_rate(state->link + in->way_link[k], planned->at.start, planned->at.end, in->way_rate[k]);
        for (int32_t d = in->draw_of[planned->move]; d < in->draw_of[planned->move + 1]; d++)
            state->left[in->draw_budget[d]] -= in->draw_amount[d];
    }
}

static void bear(State *state, int32_t pool, double begin) {
    const Instance *in = state->in;
    int dims = in->dims[pool];
    Steps *s = state->node + state->base[pool] + state->count[pool]++;
    state->born[pool]++;
    if (s->room < 2) {
        s->room = 4;
        s->time = reserve(s->time, s->room * (int64_t)sizeof(double));
        s->free = reserve(s->free, s->room * (int64_t)dims * (int64_t)sizeof(Value));
    }
    s->n = begin <= 0.0 ? 1 : 2;
    s->time[0] = 0.0, s->time[1] = begin;
    for (int k = 0; k < dims; k++) {
        s->free[k].units = 0;
        s->free[(int64_t)(s->n - 1) * dims + k].units = in->shape[(int64_t)pool * DIMS + k];
    }
}

/* Take what a choice takes of links and caps; sign -1 gives it back. Its pods are up `waits` after `start`. */
void carry_loads(State *state, int32_t choice, double start, double waits, double sign) {
    const Instance *in = state->in;
    double begin = start + waits;
    for (int32_t k = in->load_of[choice]; k < in->load_of[choice + 1]; k++) {
        double seconds, from = begin + when(in, k, waits, &seconds);
        take_rate(state->link + in->load_link[k], from, from + seconds, sign * in->load_rate[k]);
    }
}

/* Occupy nodes; a growth node that is named for the first time is born `provision` after `start`. */
void hold(State *state, int32_t choice, double start, double end, const Seat *seat, int32_t seats) {
    const Instance *in = state->in;
    int32_t gang = in->gang_of[choice], left = in->gang_replicas[gang];
    for (int32_t i = 0; i < seats; i++) {
        if (left <= 0) left = in->gang_replicas[++gang];
        left -= seat[i].pods;
        int32_t pool = in->gang_pool[gang];
        double begin = start;
        if (seat[i].node >= state->count[pool]) {
            begin = start + in->provision[pool];
            bear(state, pool, begin);
        }
        Steps *s = state->node + state->base[pool] + seat[i].node;
        take_units(s, in->dims[pool], begin, end, in->pod + (int64_t)gang * DIMS, seat[i].pods);
    }
}
