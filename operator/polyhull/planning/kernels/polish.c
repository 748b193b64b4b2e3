/* planning/search.py earlier: each job of a schedule where it ends first, the others staying where they are. */
#include "kernel.h"

#include <math.h>
#include <stdlib.h>

/* `order` holds the `placed` jobs as they were placed, `later` as they are to be tried; `column[j]`, the job's column in
 * the schedule, becomes its new one. Out: when it starts there, and when the first of its moves or it does. 0: the
 * schedule cannot be put on a board, and nothing is said. */
int32_t ph_polish(const Instance *in, int32_t placed, const int32_t *order, const int32_t *later, int32_t *column,
                  double *start, double *first) {
    Board board;
    int32_t most = 0, good = 1;
    for (int64_t j = 0; j < in->jobs; j++)
        if (in->choice_of[j + 1] - in->choice_of[j] > most) most = in->choice_of[j + 1] - in->choice_of[j];
    int32_t *every = zeroed((int64_t)most * (int64_t)sizeof(int32_t));
    for (int32_t i = 0; i < most; i++) every[i] = i;
    board_open(&board, in);
    for (int32_t i = 0; i < placed && good; i++) good = board_put(&board, order[i], column + order[i], 1, INFINITY);
    for (int32_t i = 0; i < placed && good; i++) {
        int32_t job = later[i];
        double end = board.slot[job].end;
        board_begin(&board);
        board_remove(&board, job);
        if (!board_put_soonest(&board, job, every, in->choice_of[job + 1] - in->choice_of[job], end)) board_undo(&board);
    }
    for (int32_t i = 0; i < placed && good; i++) {
        int32_t job = order[i];
        const Slot *slot = board.slot + job;
        column[job] = slot->choice - in->choice_of[job];
        start[job] = first[job] = slot->start;
        for (int32_t k = in->move_of[slot->choice]; k < in->move_of[slot->choice + 1]; k++) {
            double moved = board.state.moved[in->needs[k]].start;
            if (moved < first[job]) first[job] = moved;
        }
    }
    board_close(&board);
    free(every);
    return good;
}
