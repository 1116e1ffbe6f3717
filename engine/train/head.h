/* The last part of a training graph: logits, losses, and where they meet the gradient. */
#ifndef QN_TRAIN_HEAD_H
#define QN_TRAIN_HEAD_H

#include "model/network.h"

/* "auto" is -1. */
qn_status qn__head_parse(const char *text, int64_t *chunk) QN_MUST_USE;
/* Rows of logits at a time, in [1, rows]. chunk: as asked; 0: all; below 0: all while logits take
 * at most 256 MiB, else the most that do. Products of 16-bit elements take several rows a step of
 * a sum: there, and where it chooses, a multiple of 64, so that parts end where steps do. */
int64_t qn__head_rows(int64_t chunk, int64_t rows, int64_t vocab, qn_dtype type);

/* Build the network, its losses into "train.loss" from "train.targets", and, when asked, the whole
 * backward pass from "train.seed". With chunk < rows the logits of so many rows live at a time:
 * each part's gradient is made right after its loss, and nothing of it is computed twice. Losses
 * and gradients have the same bits either way. */
qn_status qn__head_loss(qn_network *network, int64_t chunk, bool backward) QN_MUST_USE;

#endif
