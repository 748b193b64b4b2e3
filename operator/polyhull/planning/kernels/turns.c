/* planning/explain.py turns: a whole order once more, and at each job's turn what else there was. */
#include "kernel.h"

#include <math.h>

/* Devices of a pool that are free at an instant. */
static int64_t free_at(const State *state, int32_t pool, double instant) {
    const Instance *in = state->in;
    int64_t free = 0;
    for (int32_t i = 0; i < state->count[pool]; i++) {
        const Steps *s = state->node + state->base[pool] + i;
        int32_t k = s->n - 1;
        while (k > 0 && s->time[k] > instant) k--;
        int64_t units = s->free[(int64_t)k * in->dims[pool]].units;
        if (units > 0) free += units;
    }
    return free;
}

/* What a line has left at an instant. */
static double left_at(const Steps *s, double instant) {
    int32_t k = s->n - 1;
    while (k > 0 && s->time[k] > instant) k--;
    return s->free[k].rate;
}

/* `column[j]` (-1: not placed) is where job j goes; `asked` holds for each job the columns it is tried in as well,
 * those of j at [asked_of[j], asked_of[j + 1]). Out: when it would end there (inf: never), and how many devices of the
 * pool of each of its gangs (MOST_GANGS of every job) were free when everything else it needs was there, and what the
 * lines of its loads had left then, those of j from under_of[j] on. */
void ph_turns(const Instance *in, const int32_t *order, const int32_t *column, const int32_t *asked_of,
              const int32_t *asked, double *ends, int64_t *free, const int32_t *under_of, double *under) {
    State state;
    Trial trial;
    state_open(&state, in);
    trial_open(&trial, in);
    state_reset(&state);
    for (int64_t i = 0; i < in->jobs; i++) {
        int32_t job = order[i], first = in->choice_of[job];
        if (column[job] < 0) continue;
        for (int32_t k = asked_of[job]; k < asked_of[job + 1]; k++)
            ends[k] = try_choice(&state, first + asked[k], INFINITY, &trial) ? trial.end : INFINITY;
        if (!try_choice(&state, first + column[job], INFINITY, &trial)) continue;
        int32_t gangs = in->gang_of[trial.choice];
        for (int32_t g = gangs; g < in->gang_of[trial.choice + 1]; g++)
            free[(int64_t)job * MOST_GANGS + g - gangs] = free_at(&state, in->gang_pool[g], trial.ready);
        int32_t loads = in->load_of[trial.choice];
        for (int32_t k = loads; k < in->load_of[trial.choice + 1]; k++)
            under[under_of[job] + k - loads] = left_at(state.link + in->load_link[k], trial.ready);
        commit_moves(&state, &trial);
        carry_loads(&state, trial.choice, trial.start, trial.waits, 1.0);
        hold(&state, trial.choice, trial.start, trial.end, trial.seat, trial.seats);
    }
    trial_close(&trial);
    state_close(&state);
}
