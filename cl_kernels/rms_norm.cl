/* RMS norm, one row an item. */
#define QN_W 1
#include "rms_norm.clh"
