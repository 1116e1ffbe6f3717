"""Random tiny models of every architecture, made by transformers, for the tests against it. Raises
ImportError without torch, transformers or numpy."""

import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    Phi3Config,
    Qwen2Config,
    Qwen2MoeConfig,
    Qwen3Config,
    Qwen3MoeConfig,
)


def theirs_of(folder, tokens):
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits[0].numpy()


def random_model(folder, config, std=0.1, norm=1.0, **save):
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(config)
    for name, p in model.named_parameters():
        torch.nn.init.normal_(p, mean=norm * ("norm" in name or "ln_" in name), std=std)
    model.to(save.pop("dtype", torch.float32)).save_pretrained(folder, **save)
    return folder


TOKENS = [(7 * i * i + 3 * i) % 90 for i in range(24)]
GPT2 = dict(
    vocab_size=90,
    n_positions=32,
    n_embd=48,
    n_layer=3,
    n_head=4,
    bos_token_id=0,
    eos_token_id=0,
)
LLAMA = dict(
    vocab_size=90,
    max_position_embeddings=32,
    hidden_size=48,
    intermediate_size=80,
    num_hidden_layers=3,
    num_attention_heads=6,
    num_key_value_heads=2,
    bos_token_id=0,
    eos_token_id=0,
)
LLAMA3 = dict(
    rope_type="llama3",
    rope_theta=10000.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=16,
)
YARN = dict(
    rope_type="yarn", rope_theta=500.0, factor=4.0, original_max_position_embeddings=8, beta_fast=2
)
# Sequences here have 24 tokens: the long factors, as our model's context of 32 takes them.
LONGROPE = dict(
    rope_type="longrope",
    rope_theta=10000.0,
    short_factor=[1.0, 1.1, 1.2, 1.3],
    long_factor=[1.0, 1.7, 3.5, 9.25],
    original_max_position_embeddings=16,
)
GEMMA2 = dict(
    head_dim=12,
    query_pre_attn_scalar=12,
    attn_logit_softcapping=2.0,
    final_logit_softcapping=3.0,
)
EXPERTS = dict(
    num_experts=6,
    num_experts_per_tok=3,
    moe_intermediate_size=40,
    shared_expert_intermediate_size=56,
)
QWEN3_EXPERTS = dict(num_experts=9, num_experts_per_tok=4, moe_intermediate_size=24, head_dim=12)
QWEN_WINDOW = dict(use_sliding_window=True, sliding_window=6)
ALTERNATING = ["sliding_attention", "full_attention", "sliding_attention"]
RANDOM = {
    "gpt2": (GPT2Config(**GPT2), {}),
    "gpt2, untied, exact GELU, wide": (
        GPT2Config(**GPT2, tie_word_embeddings=False, activation_function="gelu", n_inner=72),
        {},
    ),
    "llama 2": (LlamaConfig(**LLAMA), {}),
    "llama 2 with all biases": (LlamaConfig(**LLAMA, attention_bias=True, mlp_bias=True), {}),
    "llama 3, scaled, tied, bf16": (
        LlamaConfig(**LLAMA, rope_parameters=LLAMA3, tie_word_embeddings=True),
        dict(dtype=torch.bfloat16),
    ),
    "llama, linear scaling, f16": (
        LlamaConfig(**LLAMA, rope_parameters=dict(rope_type="linear", factor=2.5, rope_theta=1e4)),
        dict(dtype=torch.float16),
    ),
    "llama, yarn": (LlamaConfig(**LLAMA, rope_parameters=YARN), {}),
    "llama, yarn, ramp inside pairs": (
        LlamaConfig(**LLAMA, rope_parameters=dict(**YARN, truncate=False, attention_factor=1.3)),
        {},
    ),
    "llama, heads of 20, shards": (LlamaConfig(**LLAMA, head_dim=20), dict(max_shard_size="30KB")),
    "mistral, window 5": (MistralConfig(**LLAMA, sliding_window=5), {}),
    "mistral, window 5, heads of 10, shards": (
        MistralConfig(**LLAMA, sliding_window=5, head_dim=10),
        dict(max_shard_size="20KB"),
    ),
    "mistral, no window": (MistralConfig(**LLAMA, sliding_window=None), {}),
    "qwen2": (Qwen2Config(**LLAMA, tie_word_embeddings=True), {}),
    "qwen2, window from layer 1": (Qwen2Config(**LLAMA, **QWEN_WINDOW, max_window_layers=1), {}),
    "qwen2, every second layer full": (
        Qwen2Config(**LLAMA, **QWEN_WINDOW, layer_types=ALTERNATING),
        {},
    ),
    "qwen3, heads of 24": (Qwen3Config(**LLAMA, head_dim=24), {}),
    "qwen3, heads of 12, biases, window, bf16 shards": (
        Qwen3Config(**LLAMA, head_dim=12, attention_bias=True, **QWEN_WINDOW, max_window_layers=2),
        dict(dtype=torch.bfloat16, max_shard_size="20KB"),
    ),
    "phi3": (Phi3Config(**LLAMA, pad_token_id=0, sliding_window=None), {}),
    "phi3, window 7, tied": (
        Phi3Config(**LLAMA, pad_token_id=0, sliding_window=7, tie_word_embeddings=True),
        {},
    ),
    "phi3, longrope": (
        Phi3Config(**LLAMA, pad_token_id=0, sliding_window=None, rope_parameters=LONGROPE),
        {},
    ),
    "gemma2": (Gemma2Config(**LLAMA, **GEMMA2, sliding_window=40), {}),
    "gemma2, window 6": (Gemma2Config(**LLAMA, **GEMMA2, sliding_window=6), {}),
    "gemma2, own scale, window 5, bf16": (
        Gemma2Config(**LLAMA, **(GEMMA2 | dict(query_pre_attn_scalar=7)), sliding_window=5),
        dict(dtype=torch.bfloat16),
    ),
    "mixtral": (MixtralConfig(**LLAMA, num_local_experts=5), {}),
    "mixtral, one of four, shards": (
        MixtralConfig(**LLAMA, num_local_experts=4, num_experts_per_tok=1),
        dict(max_shard_size="30KB"),
    ),
    "qwen2 with experts": (Qwen2MoeConfig(**LLAMA, **EXPERTS), {}),
    "qwen3 with experts": (
        Qwen3MoeConfig(**LLAMA, **QWEN3_EXPERTS, norm_topk_prob=True),
        {},
    ),
    "qwen3 with experts, own weights, bf16": (
        Qwen3MoeConfig(**LLAMA, **QWEN3_EXPERTS, norm_topk_prob=False, attention_bias=True),
        dict(dtype=torch.bfloat16),
    ),
}
