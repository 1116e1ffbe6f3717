/* libFuzzer: any bytes as a config.json, and as an adapter's targets. Either refused, or a model
 * whose weights can be walked, and whose configuration is the same after it was written and read.
 * Build as fuzz_gguf.c says, with libquernel_internal.a instead of sources. */
#include "base/json.h"
#include "model/lora.h"
#include "model/weights.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_targets(const qn_model_config *config, const uint8_t *data, size_t size)
{
    qn_lora lora = {.rank = 2};
    char *text = strndup((const char *)data, size);
    if (text && qn__lora_targets(config, text, &lora) == QN_OK) {
        if (!qn__lora_target(config, &lora, 0)) abort();
        if (qn__trainable_parameters(config, &lora) <= 0) abort();
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    qn_model_config config, again;
    json_t *json;
    if (qn_model_config_named(QN_LLAMA, NULL, &config) != QN_OK) abort();
    check_targets(&config, data, size);
    if (qn__json_parse((const char *)data, size, "fuzz", &json) != QN_OK) return 0;
    if (json_is_object(json) && qn__config_from_json(json, "fuzz", &config) == QN_OK) {
        if (qn_model_parameters(&config) <= 0) abort();
        json_t *written = qn__config_to_json(&config);
        if (!written || qn__config_from_json(written, "again", &again) != QN_OK) abort();
        json_t *twice = qn__config_to_json(&again);
        if (!json_equal(written, twice)) abort();
        json_decref(written);
        json_decref(twice);
    }
    json_decref(json);
    return 0;
}
