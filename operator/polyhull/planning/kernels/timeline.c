/* planning/timeline.py: step functions of free capacity. */
#include "kernel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double RATE_SLACK = 1e-9;
static const int64_t BOUNDLESS = 1000000;

void *reserve(void *old, int64_t bytes) {
    void *got = realloc(old, bytes > 0 ? (size_t)bytes : 1);
    if (got == NULL) abort();
    return got;
}

void *zeroed(int64_t bytes) {
    void *got = calloc(1, bytes > 0 ? (size_t)bytes : 1);
    if (got == NULL) abort();
    return got;
}

static void steps_room(Steps *s, int32_t n, int width) {
    if (n <= s->room) return;
    s->room = n + n / 2 + 4;
    s->time = reserve(s->time, s->room * (int64_t)sizeof(double));
    s->free = reserve(s->free, s->room * (int64_t)width * (int64_t)sizeof(Value));
}

void steps_free(Steps *s) {
    free(s->time);
    free(s->free);
    memset(s, 0, sizeof *s);
}

void steps_copy(Steps *to, const Steps *from, int width) {
    steps_room(to, from->n, width);
    to->n = from->n;
    memcpy(to->time, from->time, (size_t)from->n * sizeof(double));
    memcpy(to->free, from->free, (size_t)from->n * (size_t)width * sizeof(Value));
}

/* The step that holds at `at`: the last one that does not begin later. */
static int32_t step_at(const Steps *s, double at) {
    int32_t low = 0, high = s->n;
    while (high - low > 1) {
        int32_t middle = (low + high) / 2;
        if (s->time[middle] <= at) low = middle;
        else high = middle;
    }
    return low;
}

int64_t copies(const Value *free, const int64_t *pod, int dims) {
    int64_t least = BOUNDLESS;
    for (int k = 0; k < dims; k++) {
        if (pod[k] > 0) {
            int64_t fit = free[k].units > 0 ? free[k].units / pod[k] : 0;
            if (fit < least) least = fit;
        }
    }
    return least;
}

int64_t window(const Steps *s, int dims, const int64_t *pod, double start, double length, double *more) {
    int32_t i = step_at(s, start), last = i;
    double end = start + length;
    int64_t least = copies(s->free + (int64_t)i * dims, pod, dims);
    for (i++; i < s->n && s->time[i] < end; i++) {
        int64_t count = copies(s->free + (int64_t)i * dims, pod, dims);
        if (count <= least) least = count, last = i;
    }
    *more = last + 1 < s->n ? s->time[last + 1] : INFINITY;
    return least;
}

double earliest_one(const Steps *s, int64_t need, double ready, double length, double latest) {
    int32_t i = step_at(s, ready);
    double start = ready;
    for (;;) {
        while (s->free[i].units < need) {
            if (++i == s->n) return INFINITY;
            start = s->time[i];
        }
        if (start > latest) return INFINITY;
        double end = start + length;
        int32_t j = i + 1;
        while (j < s->n && s->time[j] < end && s->free[j].units >= need) j++;
        if (j >= s->n || s->time[j] >= end) return start;
        i = j;
    }
}

double earliest_rate(Steps *const *links, const double *rates, int count, double ready, double seconds) {
    double start = ready;
    int settled = 0;
    for (int k = 0; settled < count; k = (k + 1) % count) {
        const Steps *s = links[k];
        double need = rates[k] * (1.0 - RATE_SLACK);
        int32_t i = step_at(s, start);
        double t = start;
        for (;;) {
            while (s->free[i].rate < need) {
                if (++i == s->n) return INFINITY;
                t = s->time[i];
            }
            double end = t + seconds;
            int32_t j = i + 1;
            while (j < s->n && s->time[j] < end && s->free[j].rate >= need) j++;
            if (j >= s->n || s->time[j] >= end) break;
            i = j;
        }
        if (t > start) start = t, settled = 1;
        else settled++;
    }
    return start;
}

static int32_t split(Steps *s, int width, double at) {
    int32_t i = step_at(s, at);
    if (s->time[i] == at) return i;
    steps_room(s, s->n + 1, width);
    memmove(s->time + i + 2, s->time + i + 1, (size_t)(s->n - i - 1) * sizeof(double));
    s->time[i + 1] = at;
    memmove(s->free + (int64_t)(i + 1) * width, s->free + (int64_t)i * width,
            (size_t)(s->n - i) * (size_t)width * sizeof(Value));
    s->n++;
    return i + 1;
}

/* Both kinds of value are eight bytes; equal ones have equal bits, for a free rate is never -0. */
static int same(const Steps *s, int width, int32_t a, int32_t b) {
    for (int k = 0; k < width; k++)
        if (s->free[(int64_t)a * width + k].units != s->free[(int64_t)b * width + k].units) return 0;
    return 1;
}

static void merge(Steps *s, int width, int32_t low, int32_t high) {
    int32_t from = low > 1 ? low : 1, to = high < s->n - 1 ? high : s->n - 1, kept = from;
    for (int32_t i = from; i <= to; i++) {
        /* As in Python, where the walk is backwards: a step goes if the one before it has the same value. */
        if (same(s, width, i, i - 1)) continue;
        if (kept != i) {
            s->time[kept] = s->time[i];
            memcpy(s->free + (int64_t)kept * width, s->free + (int64_t)i * width, (size_t)width * sizeof(Value));
        }
        kept++;
    }
    if (kept > to) return;
    int32_t rest = s->n - to - 1;
    memmove(s->time + kept, s->time + to + 1, (size_t)rest * sizeof(double));
    memmove(s->free + (int64_t)kept * width, s->free + (int64_t)(to + 1) * width,
            (size_t)rest * (size_t)width * sizeof(Value));
    s->n = kept + rest;
}

void take_units(Steps *s, int dims, double start, double end, const int64_t *units, int64_t times) {
    if (end <= start) return;
    int32_t a = split(s, dims, start), b = end < INFINITY ? split(s, dims, end) : s->n;
    for (int32_t i = a; i < b; i++)
        for (int k = 0; k < dims; k++) s->free[(int64_t)i * dims + k].units -= units[k] * times;
    merge(s, dims, a, b);
}

void take_rate(Steps *s, double start, double end, double rate) {
    if (end <= start) return;
    int32_t a = split(s, 1, start), b = end < INFINITY ? split(s, 1, end) : s->n;
    double dust = rate * RATE_SLACK * 4;
    for (int32_t i = a; i < b; i++) {
        double left = s->free[i].rate - rate;
        s->free[i].rate = left > dust ? left : 0.0;
    }
    merge(s, 1, a, b);
}
