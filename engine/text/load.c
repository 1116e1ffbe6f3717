/* Which format is this file? Decided by what it contains, never by its name. */
#include "text/tokenizer.h"

#include "base/check.h"
#include "base/fs.h"

#include <stdlib.h>
#include <string.h>

static bool begins_json(const qn_map *map)
{
    for (size_t i = 0; i < map->bytes && i < 64; i++) {
        if (map->data[i] == '{') return true;
        if (!strchr(" \t\r\n", map->data[i])) return false;
    }
    return false;
}

static qn_status load_file(const char *path, qn_tokenizer **tokenizer)
{
    static const uint8_t llm_c[4] = {0x48, 0xD7, 0x34, 0x01}; /* 20240328 */
    qn_map map;
    QN_TRY(qn__map_open(path, &map));
    bool has_magic = map.bytes >= 4;
    bool gguf = has_magic && memcmp(map.data, "GGUF", 4) == 0;
    bool decode_only = has_magic && memcmp(map.data, llm_c, 4) == 0;
    bool json = begins_json(&map);
    qn__map_close(&map);
    if (gguf) return qn__tokenizer_load_gguf(path, tokenizer);
    if (json) return qn__tokenizer_load_hf(path, tokenizer);
    if (decode_only)
        return qn__fail(QN_UNSUPPORTED, "%s: llm.c's tokenizer file can only decode; load the "
                        "tokenizer.json it was made from", path);
    return qn__tokenizer_load_llama2c(path, tokenizer);
}

qn_status qn_tokenizer_load(const char *path, qn_tokenizer **tokenizer)
{
    QN_CHECK(path && tokenizer, "qn_tokenizer_load: a pointer is NULL");
    *tokenizer = NULL;
    if (!qn__is_folder(path)) return load_file(path, tokenizer);
    char *inside = qn__path_join(path, "tokenizer.json");
    if (!inside) return qn__fail(QN_OS_ERROR, "%s: out of memory", path);
    qn_status status = load_file(inside, tokenizer);
    free(inside);
    return status;
}
