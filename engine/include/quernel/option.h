/* What a table of options says about one: flags, JSON keys and help follow from it. */
#ifndef QUERNEL_OPTION_H
#define QUERNEL_OPTION_H

typedef struct qn_option_info {
    const char *key;      /* "min_lr" */
    const char *type;     /* "int", "float", "text", "flag" */
    const char *fallback; /* default, as text */
    const char *help;
} qn_option_info;

#endif
