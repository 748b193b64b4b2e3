/* planning/simulate.py run and finish: a whole order through the simulation, and what it is worth. */
#include "kernel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int64_t numbers(const Instance *in) { return 1 + 2 * in->tiers; }

void schedule_open(Schedule *schedule, const Instance *in) {
    schedule->order = zeroed(in->jobs * (int64_t)sizeof(int32_t));
    schedule->column = zeroed(in->jobs * (int64_t)sizeof(int32_t));
    schedule->start = zeroed(in->jobs * (int64_t)sizeof(double));
    schedule->end = zeroed(in->jobs * (int64_t)sizeof(double));
    schedule->score = zeroed(numbers(in) * (int64_t)sizeof(double));
}

void schedule_close(Schedule *schedule) {
    free(schedule->order);
    free(schedule->column);
    free(schedule->start);
    free(schedule->end);
    free(schedule->score);
}

void schedule_copy(Schedule *to, const Schedule *from, const Instance *in) {
    memcpy(to->order, from->order, (size_t)in->jobs * sizeof(int32_t));
    memcpy(to->column, from->column, (size_t)in->jobs * sizeof(int32_t));
    memcpy(to->start, from->start, (size_t)in->jobs * sizeof(double));
    memcpy(to->end, from->end, (size_t)in->jobs * sizeof(double));
    memcpy(to->score, from->score, (size_t)numbers(in) * sizeof(double));
}

int schedule_less(const Schedule *a, const Schedule *b, const Instance *in) {
    for (int64_t i = 0; i < numbers(in); i++)
        if (a->score[i] != b->score[i]) return a->score[i] < b->score[i];
    return 0;
}

/* planning/objectives.py whole: millionths, as the whole number that Python's round gives. */
static double whole(double value) { return rint(fmin(value, 1e24) * 1e6); }

/* makespan_score: jobs left out, then per tier (highest first) late weight and last finish. */
static void rate(Schedule *schedule, const Instance *in) {
    double *score = schedule->score;
    memset(score, 0, (size_t)numbers(in) * sizeof(double));
    for (int64_t t = 0; t < in->tiers; t++) score[2 + 2 * t] = in->running;
    for (int64_t j = 0; j < in->jobs; j++) {
        if (schedule->column[j] < 0) {
            score[0] += 1.0;
            continue;
        }
        double end = schedule->end[j], *tier = score + 1 + 2 * in->tier[j];
        if (end > in->deadline[j]) tier[0] += in->weight[j];
        if (end > in->promised[j]) tier[0] += BROKEN_PROMISE * in->weight[j];
        if (end > tier[1]) tier[1] = end;
    }
    for (int64_t k = 1; k < numbers(in); k++) score[k] = whole(score[k]);
}

/* Simulate `order` with `column` (-1: the earliest finish wins); columns, times and score are filled in.
 * `slots` (may be NULL) takes all there is to know of each job. */
void run(State *state, Schedule *schedule, Slot *slots, Trial *trial) {
    const Instance *in = state->in;
    state_reset(state);
    for (int64_t i = 0; i < in->jobs; i++) {
        int32_t job = schedule->order[i];
        int found = best(state, job, schedule->column[job], trial);
        schedule->column[job] = found ? trial->choice - in->choice_of[job] : -1;
        if (slots != NULL) slots[job].choice = -1;
        if (!found) continue;
        schedule->start[job] = trial->start, schedule->end[job] = trial->end;
        commit_moves(state, trial);
        carry_loads(state, trial->choice, trial->start, trial->waits, 1.0);
        hold(state, trial->choice, trial->start, trial->end, trial->seat, trial->seats);
        if (slots == NULL) continue;
        Slot *slot = slots + job;
        slot->choice = trial->choice, slot->seats = trial->seats;
        memset(slot->births, 0, sizeof slot->births);
        slot->start = trial->start, slot->ready = trial->ready, slot->end = trial->end, slot->waits = trial->waits;
        memcpy(slot->seat, trial->seat, (size_t)trial->seats * sizeof(Seat));
    }
    rate(schedule, in);
}
