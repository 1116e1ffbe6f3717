/* Rows added to rows for GPUs: groups of 64 items, a group a (row, strip of 256 columns), which
 * finds the rows with its id as the gradient of embedding does. */
#define QN_W 4
#include "add_rows.clh"

__kernel __attribute__((reqd_work_group_size(QN_GROUP, 1, 1))) void
add_rows_tile(QN_OUT(float, sum), QN_IN(QN_ELEM_Y, x), QN_IN(int, ids), const ulong cols,
              const int count, const ulong rows)
{
    __local uint mask[2];
    __global const int *pids = QN_AT(ids);
    const ulong row = get_group_id(0), column = get_group_id(1) * 256 + get_local_id(0) * 4;
    const int id = pids[row];
    const bool known = id >= 0 && id < count;
    const int some = column < cols ? (int)min((ulong)4, cols - column) : 0;
    const bool first = qn_is_first(mask, pids, id, known ? row : 0) && known;
    const ulong end = first ? rows : row; /* every item comes to every barrier */
    const float4 part = qn_sum_of_id(mask, pids, id, row, end, QN_AT(x), cols, column, some);
    __global float *at = QN_AT(sum) + (ulong)id * cols + column;
    if (first && some > 0) QN_STORE(QN_LOAD(at, some) + part, at, some);
}
