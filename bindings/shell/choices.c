/* quernel eval --choices: HellaSwag and its like. */
#include "shell.h"

#include <math.h>
#include <string.h>

bool qn__choices_have_tokens(const char *path)
{
    unsigned char begin[4] = {0};
    FILE *file = path ? fopen(path, "rb") : NULL;
    if (!file) return false;
    bool whole = fread(begin, 1, sizeof begin, file) == sizeof begin;
    fclose(file);
    return whole && (begin[0] | begin[1] << 8 | begin[2] << 16 | begin[3] << 24) == 20240522;
}

int qn__choices_open(const qn_args *args, const qn_tokenizer *tokenizer, qn_choices **choices)
{
    const char *to = qn__arg(args, "write");
    qn_status status = qn_choices_load(qn__arg(args, "choices"), tokenizer, choices);
    if (status == QN_OK && to) status = qn_choices_save(*choices, to);
    if (status != QN_OK) return qn__say_status(status);
    if (to) qn__note("%s: %s questions", to, qn__text_count((double)qn_choices_count(*choices)));
    return QN_GO_ON;
}

typedef struct exam {
    int64_t questions, right;
    bool each, json;
    double begin;
} exam;

static void print_answer(const exam *e, const qn_answer *answer)
{
    if (!e->json) {
        printf("%6lld  right %d  by mean %d  by sum %d ", (long long)answer->index, answer->label,
               answer->by_mean, answer->by_sum);
        for (int i = 0; i < answer->endings; i++)
            printf("  %.4f/%d", answer->nll[i], answer->tokens[i]);
        putchar('\n');
        return;
    }
    json_t *nll = json_array(), *tokens = json_array();
    for (int i = 0; i < answer->endings; i++) {
        json_array_append_new(nll, json_real(answer->nll[i]));
        json_array_append_new(tokens, json_integer(answer->tokens[i]));
    }
    qn__print_json(json_pack("{s:I,s:i,s:i,s:i,s:o,s:o}", "index", (json_int_t)answer->index,
                             "label", answer->label, "by_mean", answer->by_mean, "by_sum",
                             answer->by_sum, "nll", nll, "tokens", tokens));
}

static bool on_answer(void *user, const qn_answer *answer)
{
    exam *e = user;
    double done = (double)answer->index + 1, took = qn__now_seconds() - e->begin;
    e->right += answer->by_mean == answer->label;
    if (e->each) print_answer(e, answer);
    qn__progress("question %s of %s  %.2f %% right  %s left", qn__text_count(done),
                 qn__text_count((double)e->questions), 100 * (double)e->right / done,
                 qn__text_seconds(took / done * ((double)e->questions - done)));
    return !qn__stop_asked();
}

/* Of a part of n that was measured. */
static double standard_error(double part, int64_t n)
{
    return n > 1 ? sqrt(part * (1 - part) / (double)(n - 1)) : 0;
}

static int print_scores(const exam *e, const qn_choose_scores *s, const char *model,
                        const char *device)
{
    double n = (double)s->questions, seconds = qn__now_seconds() - e->begin;
    double norm = (double)s->right_by_mean / n, acc = (double)s->right_by_sum / n;
    if (e->json)
        return qn__print_json(
            json_pack("{s:f,s:f,s:f,s:f,s:f,s:I,s:I,s:I,s:f,s:f,s:s,s:s}", "acc_norm", norm,
                      "acc_norm_error", standard_error(norm, s->questions), "acc", acc, "acc_error",
                      standard_error(acc, s->questions), "chance", s->chance, "questions",
                      (json_int_t)s->questions, "shortened", (json_int_t)s->shortened, "tokens",
                      (json_int_t)s->tokens, "seconds", seconds, "tokens_per_s",
                      (double)s->tokens / seconds, "model", model, "device", device));
    printf("acc_norm   %.4f +- %.4f  (least loss a token)\n", norm,
           standard_error(norm, s->questions));
    printf("acc        %.4f +- %.4f  (least loss)\n", acc, standard_error(acc, s->questions));
    printf("chance     %.4f\n", s->chance);
    printf("questions  %s (%s tokens, %s tokens/s)\n", qn__text_count(n),
           qn__text_count((double)s->tokens), qn__text_count((double)s->tokens / seconds));
    if (s->shortened)
        printf("shortened  %s contexts are longer than the model's and lost their beginning\n",
               qn__text_count((double)s->shortened));
    return QN_EXIT_OK;
}

int qn__choices_answer(const qn_args *args, qn_model *model, const qn_choices *choices, int batch,
                       const char *device)
{
    exam e = {.questions = qn_choices_count(choices),
              .each = qn__arg(args, "each") != NULL,
              .json = qn__arg(args, "json") != NULL,
              .begin = qn__now_seconds()};
    qn_choose_options options = {
        .size = sizeof options, .batch = batch, .answer = on_answer, .user = &e};
    qn_choose_scores scores;
    qn__signals_catch();
    qn_status status = qn_model_choose(model, choices, &options, &scores);
    qn__progress_end(status == QN_OK);
    if (status != QN_OK) return qn__say_status(status);
    return print_scores(&e, &scores, qn__arg(args, "model"), device);
}
