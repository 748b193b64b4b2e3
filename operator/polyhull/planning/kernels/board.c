/* planning/board.py: a schedule in the making, with removal and undo. */
#include "kernel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void jobs_add(Jobs *list, int32_t value) {
    if (list->n == list->room) {
        list->room = list->room * 2 + 4;
        list->of = reserve(list->of, list->room * (int64_t)sizeof(int32_t));
    }
    list->of[list->n++] = value;
}

static void drop(Jobs *list, int32_t value) {
    for (int32_t i = 0; i < list->n; i++) {
        if (list->of[i] == value) {
            list->of[i] = list->of[--list->n];
            return;
        }
    }
}

static int32_t place_of(const Jobs *list, int32_t value) {
    int32_t low = 0, high = list->n;
    while (low < high) {
        int32_t middle = (low + high) / 2;
        if (list->of[middle] < value) low = middle + 1;
        else high = middle;
    }
    return low;
}

static void insert(Jobs *list, int32_t value) {
    int32_t at = place_of(list, value);
    jobs_add(list, value);
    memmove(list->of + at + 1, list->of + at, (size_t)(list->n - 1 - at) * sizeof(int32_t));
    list->of[at] = value;
}

static void take_out(Jobs *list, int32_t value) {
    int32_t at = place_of(list, value);
    list->n--;
    memmove(list->of + at, list->of + at + 1, (size_t)(list->n - at) * sizeof(int32_t));
}

Slot *slots_open(const Instance *in) {
    Slot *slots = zeroed(in->jobs * (int64_t)sizeof(Slot));
    for (int64_t j = 0; j < in->jobs; j++) {
        int32_t most = 1;
        for (int32_t c = in->choice_of[j]; c < in->choice_of[j + 1]; c++)
            if (in->replicas[c] > most) most = in->replicas[c];
        slots[j].choice = -1;
        slots[j].seat = zeroed(most * (int64_t)sizeof(Seat));
    }
    return slots;
}

void slots_close(Slot *slots, const Instance *in) {
    for (int64_t j = 0; j < in->jobs; j++) free(slots[j].seat);
    free(slots);
}

static void slot_copy(Slot *to, const Slot *from) {
    Seat *seat = to->seat;
    *to = *from;
    to->seat = seat;
    memcpy(seat, from->seat, (size_t)from->seats * sizeof(Seat));
}

void board_open(Board *board, const Instance *in) {
    memset(board, 0, sizeof *board);
    board->in = in;
    state_open(&board->state, in);
    int64_t nodes = board->state.base[in->pools];
    board->slot = slots_open(in);
    board->old_slot = slots_open(in);
    board->on_pool = zeroed(in->pools * (int64_t)sizeof(Jobs));
    board->readers = zeroed(in->moves * (int64_t)sizeof(Jobs));
    board->carries = zeroed(in->links * (int64_t)sizeof(Jobs));
    board->settled = zeroed(in->moves);
    board->node_stamp = zeroed(nodes * (int64_t)sizeof(int32_t));
    board->link_stamp = zeroed(in->links * (int64_t)sizeof(int32_t));
    board->move_stamp = zeroed(in->moves * (int64_t)sizeof(int32_t));
    board->slot_stamp = zeroed(in->jobs * (int64_t)sizeof(int32_t));
    board->old_node = zeroed(nodes * (int64_t)sizeof(Steps));
    board->old_link = zeroed(in->links * (int64_t)sizeof(Steps));
    board->old_count = zeroed(in->pools * (int64_t)sizeof(int32_t));
    board->old_born = zeroed(in->pools * (int64_t)sizeof(int32_t));
    board->old_moved = zeroed(in->moves * (int64_t)sizeof(Moved));
    board->old_left = zeroed(in->budgets * (int64_t)sizeof(int64_t));
    trial_open(&board->trial, in);
    trial_open(&board->found, in);
    board_reset(board);
}

static void carry(Board *board, int32_t move, int on) {
    const Instance *in = board->in;
    int32_t way = in->way_of[move] + board->state.moved[move].way;
    for (int32_t k = in->way_link_of[way]; k < in->way_link_of[way + 1]; k++) {
        if (on) jobs_add(board->carries + in->way_link[k], move);
        else drop(board->carries + in->way_link[k], move);
    }
}

/* An empty board. */
void board_reset(Board *board) {
    const Instance *in = board->in;
    state_reset(&board->state);
    for (int64_t j = 0; j < in->jobs; j++) board->slot[j].choice = -1;
    for (int64_t p = 0; p < in->pools; p++) board->on_pool[p].n = 0;
    for (int64_t m = 0; m < in->moves; m++) board->readers[m].n = 0;
    for (int64_t e = 0; e < in->links; e++) board->carries[e].n = 0;
    for (int32_t m = 0; m < in->moves; m++) {
        board->settled[m] = in->made_way[m] >= 0;
        if (board->settled[m]) carry(board, m, 1);
    }
    board_begin(board);
}

void board_close(Board *board) {
    const Instance *in = board->in;
    int64_t nodes = board->state.base[in->pools];
    state_close(&board->state);
    slots_close(board->slot, in);
    slots_close(board->old_slot, in);
    for (int64_t p = 0; p < in->pools; p++) free(board->on_pool[p].of);
    for (int64_t m = 0; m < in->moves; m++) free(board->readers[m].of);
    for (int64_t e = 0; e < in->links; e++) free(board->carries[e].of), steps_free(board->old_link + e);
    for (int64_t i = 0; i < nodes; i++) steps_free(board->old_node + i);
    free(board->on_pool);
    free(board->readers);
    free(board->carries);
    free(board->settled);
    free(board->node_stamp);
    free(board->link_stamp);
    free(board->move_stamp);
    free(board->slot_stamp);
    free(board->nodes.of);
    free(board->links.of);
    free(board->moves.of);
    free(board->slots.of);
    free(board->old_node);
    free(board->old_link);
    free(board->old_count);
    free(board->old_born);
    free(board->old_moved);
    free(board->old_left);
    trial_close(&board->trial);
    trial_close(&board->found);
}

void board_begin(Board *board) {
    const Instance *in = board->in;
    board->stamp++;
    board->nodes.n = board->links.n = board->moves.n = board->slots.n = 0;
    memcpy(board->old_count, board->state.count, (size_t)in->pools * sizeof(int32_t));
    memcpy(board->old_born, board->state.born, (size_t)in->pools * sizeof(int32_t));
    memcpy(board->old_left, board->state.left, (size_t)in->budgets * sizeof(int64_t));
}

static void keep_node(Board *board, int32_t pool, int32_t node) {
    int32_t at = board->state.base[pool] + node;
    if (board->node_stamp[at] == board->stamp) return;
    board->node_stamp[at] = board->stamp;
    jobs_add(&board->nodes, at);
    steps_copy(board->old_node + at, board->state.node + at, board->in->dims[pool]);
}

static void keep_link(Board *board, int32_t link) {
    if (board->link_stamp[link] == board->stamp) return;
    board->link_stamp[link] = board->stamp;
    jobs_add(&board->links, link);
    steps_copy(board->old_link + link, board->state.link + link, 1);
}

static void keep_loads(Board *board, int32_t choice) {
    const Instance *in = board->in;
    for (int32_t k = in->load_of[choice]; k < in->load_of[choice + 1]; k++) keep_link(board, in->load_link[k]);
}

static void keep_move(Board *board, int32_t move) {
    if (board->move_stamp[move] == board->stamp) return;
    board->move_stamp[move] = board->stamp;
    jobs_add(&board->moves, move);
    board->old_moved[move] = board->state.moved[move];
}

static void keep_slot(Board *board, int32_t job) {
    if (board->slot_stamp[job] == board->stamp) return;
    board->slot_stamp[job] = board->stamp;
    jobs_add(&board->slots, job);
    slot_copy(board->old_slot + job, board->slot + job);
}

static void register_job(Board *board, int32_t job, int on) {
    const Instance *in = board->in;
    int32_t choice = board->slot[job].choice;
    if (choice < 0) return;
    for (int32_t g = in->gang_of[choice]; g < in->gang_of[choice + 1]; g++) {
        if (on) insert(board->on_pool + in->gang_pool[g], job);
        else take_out(board->on_pool + in->gang_pool[g], job);
    }
    for (int32_t i = in->move_of[choice]; i < in->move_of[choice + 1]; i++) {
        if (on) jobs_add(board->readers + in->needs[i], job);
        else drop(board->readers + in->needs[i], job);
    }
}

static void commit(Board *board, int32_t job, const Trial *trial) {
    const Instance *in = board->in;
    State *state = &board->state;
    int32_t first = in->gang_of[trial->choice], gang = first, left = in->gang_replicas[gang];
    for (int32_t i = 0; i < trial->plans; i++) {
        int32_t way = in->way_of[trial->plan[i].move] + trial->plan[i].at.way;
        keep_move(board, trial->plan[i].move);
        for (int32_t k = in->way_link_of[way]; k < in->way_link_of[way + 1]; k++) keep_link(board, in->way_link[k]);
    }
    commit_moves(state, trial);
    for (int32_t i = 0; i < trial->plans; i++) carry(board, trial->plan[i].move, 1);
    keep_slot(board, job);
    Slot *slot = board->slot + job;
    slot->choice = trial->choice, slot->seats = trial->seats;
    memset(slot->births, 0, sizeof slot->births);
    slot->start = trial->start, slot->ready = trial->ready, slot->end = trial->end, slot->waits = trial->waits;
    memcpy(slot->seat, trial->seat, (size_t)trial->seats * sizeof(Seat));
    for (int32_t i = 0; i < trial->seats; i++) {
        if (left <= 0) left = in->gang_replicas[++gang];
        left -= trial->seat[i].pods;
        int32_t pool = in->gang_pool[gang];
        if (trial->seat[i].node < state->count[pool]) keep_node(board, pool, trial->seat[i].node);
        else slot->births[gang - first]++;
    }
    keep_loads(board, trial->choice);
    carry_loads(state, trial->choice, trial->start, trial->waits, 1.0);
    hold(state, trial->choice, trial->start, trial->end, trial->seat, trial->seats);
    register_job(board, job, 1);
}

int board_put(Board *board, int32_t job, const int32_t *columns, int32_t n, double limit) {
    const Instance *in = board->in;
    for (int32_t i = 0; i < n; i++) {
        int32_t choice = in->choice_of[job] + columns[i];
        if (in->soonest[choice] > limit) continue;
        if (try_choice(&board->state, choice, limit, &board->trial) && board->trial.end <= limit) {
            commit(board, job, &board->trial);
            return 1;
        }
    }
    return 0;
}

int board_put_soonest(Board *board, int32_t job, const int32_t *columns, int32_t n, double limit) {
    const Instance *in = board->in;
    int found = 0;
    double end = limit;
    for (int32_t i = 0; i < n; i++) {
        int32_t choice = in->choice_of[job] + columns[i];
        if (in->soonest[choice] > end) continue;
        if (!try_choice(&board->state, choice, end, &board->trial)) continue;
        if (board->trial.end < end || (!found && board->trial.end <= end)) {
            Trial kept = board->found;
            board->found = board->trial, board->trial = kept;
            found = 1, end = board->found.end;
        }
    }
    if (found) commit(board, job, &board->found);
    return found;
}

/* Take a job off, and moves that nobody else waits for. */
void board_remove(Board *board, int32_t job) {
    const Instance *in = board->in;
    State *state = &board->state;
    Slot *slot = board->slot + job;
    int32_t choice = slot->choice;
    if (choice < 0) return;
    for (int32_t gang = in->gang_of[choice], i = 0; i < slot->seats; gang++) {
        int32_t pool = in->gang_pool[gang], last = i;
        for (int32_t left = in->gang_replicas[gang]; left > 0; last++) left -= slot->seat[last].pods;
        int32_t grown = last - slot->births[gang - in->gang_of[choice]];
        for (; i < last; i++) {
            double begin = i < grown ? slot->start : slot->start + in->provision[pool];
            keep_node(board, pool, slot->seat[i].node);
            take_units(state->node + state->base[pool] + slot->seat[i].node, in->dims[pool], begin, slot->end,
                       in->pod + (int64_t)gang * DIMS, -(int64_t)slot->seat[i].pods);
        }
    }
    keep_loads(board, choice);
    carry_loads(state, choice, slot->start, slot->waits, -1.0);
    keep_slot(board, job);
    register_job(board, job, 0);
    slot->choice = -1;
    for (int32_t i = in->move_of[choice]; i < in->move_of[choice + 1]; i++) {
        int32_t move = in->needs[i];
        if (board->readers[move].n > 0 || board->settled[move]) continue;
        Moved moved = state->moved[move];
        int32_t way = in->way_of[move] + moved.way;
        keep_move(board, move);
        carry(board, move, 0);
        state->moved[move].way = -1;
        for (int32_t k = in->way_link_of[way]; k < in->way_link_of[way + 1]; k++) {
            keep_link(board, in->way_link[k]);
            take_rate(state->link + in->way_link[k], moved.start, moved.end, -in->way_rate[k]);
        }
        for (int32_t d = in->draw_of[move]; d < in->draw_of[move + 1]; d++)
            state->left[in->draw_budget[d]] += in->draw_amount[d];
    }
}

/* A job that stays where it is: nobody takes it off, nor what it moves. */
void board_stand(Board *board, int32_t job, int32_t column) {
    Trial *trial = &board->trial;
    if (!best(&board->state, job, column, trial)) return;
    commit_moves(&board->state, trial);
    for (int32_t i = 0; i < trial->plans; i++) {
        board->settled[trial->plan[i].move] = 1;
        carry(board, trial->plan[i].move, 1);
    }
    carry_loads(&board->state, trial->choice, trial->start, trial->waits, 1.0);
    hold(&board->state, trial->choice, trial->start, trial->end, trial->seat, trial->seats);
    board_begin(board);
}

static void exchange(Steps *a, Steps *b) {
    Steps kept = *a;
    *a = *b;
    *b = kept;
}

/* Everything since board_begin is as it was. */
void board_undo(Board *board) {
    const Instance *in = board->in;
    State *state = &board->state;
    for (int32_t i = 0; i < board->nodes.n; i++)
        exchange(state->node + board->nodes.of[i], board->old_node + board->nodes.of[i]);
    for (int32_t i = 0; i < board->links.n; i++)
        exchange(state->link + board->links.of[i], board->old_link + board->links.of[i]);
    memcpy(state->count, board->old_count, (size_t)in->pools * sizeof(int32_t));
    memcpy(state->born, board->old_born, (size_t)in->pools * sizeof(int32_t));
    memcpy(state->left, board->old_left, (size_t)in->budgets * sizeof(int64_t));
    for (int32_t i = 0; i < board->moves.n; i++) {
        int32_t move = board->moves.of[i];
        if (state->moved[move].way >= 0) carry(board, move, 0);
        state->moved[move] = board->old_moved[move];
        if (state->moved[move].way >= 0) carry(board, move, 1);
    }
    for (int32_t i = 0; i < board->slots.n; i++) {
        int32_t job = board->slots.of[i];
        register_job(board, job, 0);
        slot_copy(board->slot + job, board->old_slot + job);
        register_job(board, job, 1);
    }
    board_begin(board);
}
