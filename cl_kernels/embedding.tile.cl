/* Embedding for GPUs: lookups a float4 an item; the gradient by groups of 64 items, a group a (row,
 * strip of 256 columns). See embedding.clh for what it computes.
 *
 * The group of the first row with an id finds the later ones 64 at a time: each item compares one
 * id and sets its bit of a mask; all items then walk the bits upwards and add those rows to their
 * own four columns, so that an element's sum is one chain with rows ascending. */
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
    bool first = known;
    for (ulong from = 0; from < row && first; from += QN_GROUP) {
        qn_same_ids(mask, pids, id, from, row);
        first = (mask[0] | mask[1]) == 0;
    }
    float4 sum = (float4)(0.0f);
    for (ulong from = row; from < rows && first; from += QN_GROUP) {
        qn_same_ids(mask, pids, id, from, rows);
        for (uint word = 0; word < 2; word++)
            for (uint bits = mask[word]; bits != 0; bits &= bits - 1) {
                const ulong r = from + word * 32 + 31 - clz(bits & (0 - bits));
                if (count > 0) sum = sum + QN_LOADY(QN_AT(dy) + r * cols + column, count);
            }
    }
    if (first && count > 0) QN_STORE(sum, QN_AT(dtable) + (ulong)id * cols + column, count);
}
