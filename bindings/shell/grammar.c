/* The flags that hold text to a grammar. */
#include "shell.h"

#include <stdlib.h>
#include <string.h>

/* The value of a flag that is a text, as `mark` in it shows, or a file. *data is to be freed. */
static int text_or_file(const qn_args *args, const char *flag, const char *mark, char **data,
                        size_t *bytes)
{
    const char *value = qn__arg(args, flag);
    if (!strstr(value, mark)) return qn__read_file(value, data, bytes);
    *data = strdup(value);
    *bytes = strlen(value);
    return *data ? QN_GO_ON : qn__say_error(QN_EXIT_OS, "out of memory");
}

int qn__open_grammar(const qn_args *args, qn_grammar **grammar_out)
{
    const char *grammar = qn__arg(args, "grammar"), *schema = qn__arg(args, "json-schema");
    const char *object = qn__arg(args, "json-object"),
               *text = object ? qn_grammar_json_object() : "";
    char *data = NULL, *made = NULL;
    size_t bytes = strlen(text);
    int code = QN_GO_ON;
    qn_status status = QN_OK;
    if ((grammar != NULL) + (schema != NULL) + (object != NULL) > 1)
        return qn__say_error(QN_EXIT_USAGE,
                             "%s: --grammar, --json-schema, --json-object: choose one",
                             args->command->name);
    if (!grammar && !schema && !object) return QN_GO_ON;
    if (grammar) code = text_or_file(args, "grammar", "::=", &data, &bytes);
    if (schema) code = text_or_file(args, "json-schema", "{", &data, &bytes);
    if (code != QN_GO_ON) return code;
    if (schema) status = qn_schema_to_grammar(data, bytes, "--json-schema", &made);
    if (schema && status == QN_OK) bytes = strlen(made);
    if (status == QN_OK)
        status =
            qn_grammar_create(schema    ? made
                              : grammar ? data
                                        : text,
                              bytes, schema ? "the schema's grammar" : "--grammar", grammar_out);
    free(data);
    free(made);
    return status == QN_OK ? QN_GO_ON : qn__say_status(status);
}
