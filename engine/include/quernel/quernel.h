/* Everything. Prefer the single headers: device.h, graph.h, text.h, model.h, train.h, bench.h. */
#ifndef QUERNEL_QUERNEL_H
#define QUERNEL_QUERNEL_H

#include <quernel/batch.h>
#include <quernel/bench.h>
#include <quernel/choices.h>
#include <quernel/cluster.h>
#include <quernel/device.h>
#include <quernel/evaluate.h>
#include <quernel/generate.h>
#include <quernel/grammar.h>
#include <quernel/graph.h>
#include <quernel/log.h>
#include <quernel/model.h>
#include <quernel/option.h>
#include <quernel/quantize.h>
#include <quernel/sample.h>
#include <quernel/status.h>
#include <quernel/tensor.h>
#include <quernel/text.h>
#include <quernel/train.h>
#include <quernel/tune.h>
#include <quernel/version.h>

#endif
