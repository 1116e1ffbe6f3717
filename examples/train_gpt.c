/* Train a small GPT on a text file, from C.
 *
 *     train_gpt TEXT FOLDER [key=value ...]            train_gpt story.txt model steps=200 layers=2
 *
 * The keys are those of `quernel train --help`, with _ for -. The model folder loads in `quernel
 * generate`, in examples/generate.c, and in other programs that read Hugging Face folders. */
#include <math.h>
#include <quernel/quernel.h>
#include <stdio.h>
#include <string.h>

/* What this example sets; the rest keeps its default, and the command line overrides all. */
static const char *const settings[][2] = {
    {"tokenizer", "char"}, {"arch", "gpt2"},  {"layers", "4"},       {"heads", "4"},
    {"embed", "128"},      {"context", "64"}, {"batch", "12"},       {"steps", "300"},
    {"lr", "1e-3"},        {"warmup", "20"},  {"eval_every", "100"}, {"seed", "1337"},
};

/* Called after each step. Return false and training saves what it has and stops. */
static bool show(void *user, const qn_step_info *info)
{
    (void)user;
    if (info->step % 10 == 0 || info->step == info->steps)
        printf("step %4lld of %lld  loss %.4f  %6.0f tokens/s  %5.1f %% of peak\n",
               (long long)info->step, (long long)info->steps, info->loss, info->tokens_per_s,
               info->percent_of_peak);
    if (isfinite(info->val_loss)) printf("            validation loss %.4f\n", info->val_loss);
    return true;
}

/* `key=value` from the command line. */
static qn_status set_pair(qn_train_options *options, const char *pair)
{
    char key[64];
    const char *equals = strchr(pair, '=');
    snprintf(key, sizeof key, "%.*s", equals ? (int)(equals - pair) : 63, pair);
    return qn_train_options_set(options, key,
                                equals ? equals + 1 : ""); /* names the key if it is wrong */
}

static qn_status set_options(qn_train_options *options, int argc, char **argv)
{
    qn_status status = qn_train_options_set(options, "text", argv[1]);
    if (status == QN_OK) status = qn_train_options_set(options, "out", argv[2]);
    for (size_t i = 0; status == QN_OK && i < sizeof settings / sizeof settings[0]; i++)
        status = qn_train_options_set(options, settings[i][0], settings[i][1]);
    for (int i = 3; status == QN_OK && i < argc; i++) status = set_pair(options, argv[i]);
    return status;
}

int main(int argc, char **argv)
{
    qn_device *device = NULL;
    qn_train_options *options = NULL;
    qn_trainer *trainer = NULL;
    uint64_t bytes = 0;
    if (argc < 3) {
        fprintf(stderr, "usage: train_gpt TEXT FOLDER [key=value ...]\n");
        return 64;
    }
    qn_status status = qn_train_options_create(&options);
    if (status == QN_OK) status = set_options(options, argc, argv);
    if (status == QN_OK) status = qn_device_open(NULL, &device);
    if (status == QN_OK) status = qn_trainer_create(options, device, NULL, NULL, &trainer);
    if (status == QN_OK) {
        qn_device_memory(device, &bytes, NULL);
        printf("%s: %.1f MiB of device memory, and no more during the run\n",
               qn_device_name(device), (double)bytes / 1048576);
        status = qn_trainer_run(trainer, show, NULL);
    }
    if (status == QN_OK) printf("next: quernel generate --model %s --prompt \"...\"\n", argv[2]);
    else fprintf(stderr, "train_gpt: %s\n", qn_last_error());
    qn_trainer_destroy(&trainer); /* every destroy accepts NULL, so one way out is enough */
    qn_train_options_destroy(&options);
    qn_device_close(&device);
    return qn_status_exit_code(status);
}
