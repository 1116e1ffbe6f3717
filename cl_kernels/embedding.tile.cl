/* Embedding for GPUs: lookups a float4 an item; the gradient by groups of 64 items, a group a (row,
 * strip of 256 columns). See embedding.clh for what it computes. The
 * group of the first row with an id adds them all (same_ids.clh). */
#define QN_W 4
#include "embedding.clh"

__kernel __attribute__((reqd_work_group_size(QN_GROUP, 1, 1))) void
embedding_bwd_tile(QN_OUT(float, dtable), QN_IN(QN_ELEM_Y, dy), QN_IN(int, ids), const ulong cols,
                   const int vocabulary, const ulong rows)
{
    __local uint mask[2];
    __global const int *pids = QN_AT(ids);
    const ulong row = get_group_id(0), column = get_group_id(1) * 256 + get_local_id(0) * 4;
    const int id = pids[row];
    const bool known = id >= 0 && id < vocabulary;
    const int count = column < cols ? (int)min((ulong)4, cols - column) : 0;
    const bool first = qn_is_first(mask, pids, id, known ? row : 0) && known;
    const ulong end = first ? rows : row; /* every item comes to every barrier */
    const float4 sum = qn_sum_of_id(mask, pids, id, row, end, QN_AT(dy), cols, column, count);
    if (first && count > 0) QN_STORE(sum, QN_AT(dtable) + (ulong)id * cols + column, count);
}
