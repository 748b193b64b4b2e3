/* The compiled twin of planning/{timeline,packing,simulate,board,search}.py: the same arithmetic on flat arrays.
 *
 * Every function here does what its namesake in Python does, in the same order of floating-point operations, so both
 * give the same plan byte for byte (tests/properties/test_kernel.py). Built without contraction of multiply-add.
 * Single-threaded; running out of memory aborts the process, which is the decision worker's.
 */
#ifndef POLYHULL_KERNEL_H
#define POLYHULL_KERNEL_H

#include <stdint.h>

#define BROKEN_PROMISE 1e-3 /* planning/objectives.py: in missed deadlines of the same weight */
#define MOST_GANGS 3 /* optimize/cross_site.py MOST_SITES */
#define DIMS 5 /* Resources.as_tuple: devices, cpu, memory, ephemeral storage, pods */

/* planning/instance.py Instance; filled by kernels/tables.py, field by field in this order. `x_of` arrays are offsets:
 * the entries of i are [x_of[i], x_of[i + 1]). */
typedef struct {
    int64_t jobs, choices, pools, links, moves, ways, budgets, tiers;
    double running; /* when the last released job ends */
    const int32_t *choice_of;  /* jobs + 1 */
    const int32_t *tier;       /* 0 is the highest */
    const double *deadline;    /* seconds from now; inf: none */
    const double *promised;    /* until when its promise is kept, likewise */
    const double *weight;      /* of being late */
    const int32_t *gang_of, *replicas, *devices, *move_of; /* per choice, of all its gangs together; of: + 1 */
    const int32_t *gang_pool, *gang_replicas;          /* one gang, or several that start together */
    const int64_t *pod;                                /* gangs x DIMS */
    const double *length, *head, *soonest;
    const int64_t *moved_bytes;
    const int32_t *needs;                              /* moves of a choice, ascending */
    const int32_t *load_of, *load_link;                /* per choice: what it takes of links and watts; + 1 */
    const double *load_after, *load_seconds, *load_rate; /* after < 0: from the start on, before growth is there */
    const int32_t *dims, *unborn, *node_of;            /* per pool; node_of: pools + 1, nodes at the start */
    const int64_t *shape;                              /* pools x DIMS */
    const double *provision;
    const int32_t *node_step_of;                       /* nodes + 1 */
    const double *node_time;
    const int64_t *node_free;                          /* steps x DIMS */
    const int32_t *link_step_of;
    const double *link_time, *link_free;
    const double *move_seconds;
    const int32_t *made_way;                           /* index among the move's ways, -1: not made yet */
    const double *made_start, *made_end;
    const int32_t *way_of, *draw_of, *draw_budget;
    const int64_t *draw_amount;
    const double *way_seconds;
    const int32_t *way_link_of, *way_link; /* each link of a way once */
    const double *way_rate;                /* per link of a way: bytes per second */
    const int64_t *left;
} Instance;

typedef union {
    int64_t units;
    double rate;
} Value;

/* A step function: `free[i * width ...]` holds from time[i] on; time[0] is 0. */
typedef struct {
    int32_t n, room;
    double *time;
    Value *free;
} Steps;

typedef struct {
    int32_t way; /* -1: not made */
    double start, end;
} Moved;

typedef struct {
    int32_t node, pods;
} Seat;

typedef struct {
    int32_t move;
    Moved at;
} Planned;

/* A slot of one job and the moves it would add; `seat` and `plan` are owned and large enough for any choice. */
typedef struct {
    int32_t choice, seats, plans; /* choice counts over all jobs; -1: none */
    double start, ready, end, waits;
    Seat *seat;
    Planned *plan;
} Trial;

typedef struct {
    int32_t index, pods;
    int64_t free;
} Room;

typedef struct {
    const Instance *in;
    int32_t *base, *count, *born; /* per pool: first place in `node`, nodes there, growth nodes asked for */
    Steps *node, *link;
    Moved *moved;
    int64_t *left;
    /* scratch */
    Room *room;
    Steps *overlay;
    int32_t *overlaid;
    Steps **path;
    int64_t *wanted;
    int32_t *fresh;
    Trial other, spare;
} State;

/* timeline.c */
void *reserve(void *old, int64_t bytes);
void *zeroed(int64_t bytes);
void steps_free(Steps *s);
void steps_copy(Steps *to, const Steps *from, int width);
int64_t copies(const Value *free, const int64_t *pod, int dims);
int64_t window(const Steps *s, int dims, const int64_t *pod, double start, double length, double *more);
double earliest_one(const Steps *s, int64_t need, double ready, double length, double latest);
double earliest_rate(Steps *const *links, const double *rates, int count, double ready, double seconds);
void take_units(Steps *s, int dims, double start, double end, const int64_t *units, int64_t times);
void take_rate(Steps *s, double start, double end, double rate);

/* simulate.c */
void state_open(State *state, const Instance *in);
void state_reset(State *state);
void state_close(State *state);
void trial_open(Trial *trial, const Instance *in);
void trial_close(Trial *trial);
int try_choice(State *state, int32_t choice, double limit, Trial *out);
int best(State *state, int32_t job, int32_t prescribed, Trial *out);
void commit_moves(State *state, const Trial *trial);
void carry_loads(State *state, int32_t choice, double start, double waits, double sign);
void hold(State *state, int32_t choice, double start, double end, const Seat *seat, int32_t seats);

/* board.c */
typedef struct {
    int32_t choice, seats; /* choice -1: nowhere */
    int32_t births[MOST_GANGS]; /* of each gang: the last so many of its seats are on nodes it brought up */
    double start, ready, end, waits;
    Seat *seat;
} Slot;

typedef struct {
    int32_t *of;
    int32_t n, room;
} Jobs;

typedef struct {
    State state;
    const Instance *in;
    Slot *slot;
    unsigned char *settled; /* moves that stay whoever is taken off */
    Jobs *on_pool; /* ascending */
    Jobs *readers; /* of each move: the jobs on the board that wait for it, in any order */
    Jobs *carries; /* of each link: the moves over it, in any order */
    /* journal of the step: what was there before */
    int32_t stamp, *node_stamp, *link_stamp, *move_stamp, *slot_stamp;
    Jobs nodes, links, moves, slots;
    Steps *old_node, *old_link;
    int32_t *old_count, *old_born;
    Moved *old_moved;
    Slot *old_slot;
    int64_t *old_left;
    Trial trial, found;
} Board;

Slot *slots_open(const Instance *in);
void slots_close(Slot *slots, const Instance *in);
void jobs_add(Jobs *list, int32_t value);
void board_open(Board *board, const Instance *in);
void board_reset(Board *board);
void board_close(Board *board);
void board_begin(Board *board);
void board_undo(Board *board);
int board_put(Board *board, int32_t job, const int32_t *columns, int32_t n, double limit);
int board_put_soonest(Board *board, int32_t job, const int32_t *columns, int32_t n, double limit);
void board_stand(Board *board, int32_t job, int32_t column);
void board_remove(Board *board, int32_t job);

/* schedule.c */
typedef struct {
    int32_t *order, *column; /* column: index among the job's own, -1: nowhere */
    double *start, *end;
    double *score; /* planning/objectives.py makespan_score: 1 + 2 * tiers whole numbers */
} Schedule;

void schedule_open(Schedule *schedule, const Instance *in);
void schedule_close(Schedule *schedule);
void schedule_copy(Schedule *to, const Schedule *from, const Instance *in);
int schedule_less(const Schedule *a, const Schedule *b, const Instance *in);
void run(State *state, Schedule *schedule, Slot *slots, Trial *trial);

#endif
