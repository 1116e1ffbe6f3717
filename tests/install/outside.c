/* A stranger's program: sees only the installed headers and library. */
#include <quernel/quernel.h>
#include <stdio.h>

int main(void)
{
    qn_train_options *options;
    qn_tokenizer *tokenizer;
    int32_t *ids;
    size_t count;
    if (qn_version() / 1000000 != QN_VERSION_MAJOR) return 1;
    if (qn_train_options_create(&options) != QN_OK) return 2;
    if (qn_train_options_set(options, "layers", "many") != QN_BAD_ARGUMENT) return 3;
    printf("as it should: %s\n", qn_last_error());
    qn_train_options_destroy(&options);
    if (qn_tokenizer_create_bytes(&tokenizer) != QN_OK) return 4;
    if (qn_tokenizer_encode(tokenizer, "quern", 5, 0, &ids, &count) != QN_OK || count != 5)
        return 5;
    qn_free(ids);
    qn_tokenizer_destroy(&tokenizer);
    printf("quernel %s\n", qn_version_string());
    return 0;
}
