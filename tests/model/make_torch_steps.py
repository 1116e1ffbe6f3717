"""Ten AdamW steps of a tiny model of each architecture in PyTorch (transformers), as numbers for
tests/model/torch_steps.c.

    python3 tests/model/make_torch_steps.py > tests/model/torch_steps.inc

Weights are a formula of (tensor, element), so the numbers need no files: w = base + size *
sin(0.7 i + 1.3 t + 0.2), with t the tensor's place in model.safetensors as Quernel writes it.
Tokens: (31 i + 17 s + i^2) mod V. Gradients are kept as their norm and their dot product with
cos(0.3 i).
"""

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, MistralConfig
from transformers import Gemma2Config, Phi3Config, Qwen2Config, Qwen3Config

BATCH, CONTEXT, VOCAB, STEPS = 3, 16, 61, 10


def gpt2_names(layers):
    names = ["transformer.wte.weight", "transformer.wpe.weight"]
    for n in range(layers):
        for part in (
            "ln_1.weight",
            "ln_1.bias",
            "attn.c_attn.weight",
            "attn.c_attn.bias",
            "attn.c_proj.weight",
            "attn.c_proj.bias",
            "ln_2.weight",
            "ln_2.bias",
            "mlp.c_fc.weight",
            "mlp.c_fc.bias",
            "mlp.c_proj.weight",
            "mlp.c_proj.bias",
        ):
            names.append(f"transformer.h.{n}.{part}")
    return names + ["transformer.ln_f.weight", "transformer.ln_f.bias"]


# In the order of the table in engine/model/arch.c; a model has some of them.
LLAMA_PARTS = (
    "input_layernorm.weight",
    "self_attn.q_proj.weight",
    "self_attn.q_proj.bias",
    "self_attn.q_norm.weight",
    "self_attn.k_proj.weight",
    "self_attn.k_proj.bias",
    "self_attn.k_norm.weight",
    "self_attn.v_proj.weight",
    "self_attn.v_proj.bias",
    "self_attn.o_proj.weight",
    "self_attn.o_proj.bias",
    "post_attention_layernorm.weight",
    "mlp.gate_proj.weight",
    "mlp.gate_proj.bias",
    "mlp.up_proj.weight",
    "mlp.up_proj.bias",
    "mlp.down_proj.weight",
    "mlp.down_proj.bias",
)
PHI3_PARTS = (
    "input_layernorm.weight",
    "self_attn.qkv_proj.weight",
    "self_attn.o_proj.weight",
    "post_attention_layernorm.weight",
    "mlp.gate_up_proj.weight",
    "mlp.down_proj.weight",
)
GEMMA2_PARTS = (
    "input_layernorm.weight",
    "self_attn.q_proj.weight",
    "self_attn.k_proj.weight",
    "self_attn.v_proj.weight",
    "self_attn.o_proj.weight",
    "post_attention_layernorm.weight",
    "pre_feedforward_layernorm.weight",
    "mlp.gate_proj.weight",
    "mlp.up_proj.weight",
    "mlp.down_proj.weight",
    "post_feedforward_layernorm.weight",
)


def llama_names(layers, parts=LLAMA_PARTS):
    names = ["model.embed_tokens.weight"]
    for n in range(layers):
        names += [f"model.layers.{n}.{part}" for part in parts]
    return names + ["model.norm.weight", "lm_head.weight"]


def wave(w, t, base):
    i = torch.arange(w.numel(), dtype=torch.float64)
    value = base + 0.08 * torch.sin(0.7 * i + 1.3 * t + 0.2)
    w.copy_(value.reshape(w.shape).to(w.dtype))


def fill(model, names):
    weights = dict(model.named_parameters())
    names = [name for name in names if name in weights]
    assert len(names) == len(weights)
    with torch.no_grad():
        for t, name in enumerate(names):
            norm = "ln_" in name and name.endswith("weight") or "norm" in name
            # Gemma's norms hold w for 1 + w, which is what ours hold.
            one = 0.0 if model.config.model_type == "gemma2" else 1.0
            wave(weights[name], t, one if norm else 0.0)
    return names, [weights[n] for n in names]


def adapt(model, names, config):
    """PEFT's adapters, filled like weights; their names, A and B of each weight in its order."""
    base = [name for name in names if name.endswith(".weight")]
    model = get_peft_model(model, config)
    adapters = dict(model.named_parameters())
    found, weights = [], []
    for name in base:
        for part in ("lora_A", "lora_B"):
            key = f"base_model.model.{name.removesuffix('.weight')}.{part}"
            if f"{key}.default.weight" in adapters:
                found.append(f"{key}.weight")
                weights.append(adapters[f"{key}.default.weight"])
    assert len(found) == sum(w.requires_grad for w in adapters.values())
    with torch.no_grad():
        for t, w in enumerate(weights):
            wave(w, t + 1000, 0.0)
    return model, found, weights


def steps(model, names, label, lora=None):
    names, weights = fill(model, names)
    if lora:
        model, names, weights = adapt(model, names, lora)
    decay = [w for w in weights if w.dim() >= 2]
    plain = [w for w in weights if w.dim() < 2]
    adam = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}],
        lr=1e-3,
        betas=(0.9, 0.95),
        eps=1e-8,
    )
    row = torch.arange(BATCH * (CONTEXT + 1), dtype=torch.int64).reshape(BATCH, CONTEXT + 1)
    tokens = (31 * row + row * row + 17) % VOCAB
    losses, rows = [], []
    for step in range(STEPS):
        logits = model(tokens[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(
            logits.reshape(-1, VOCAB), tokens[:, 1:].reshape(-1)
        )
        adam.zero_grad()
        loss.backward()
        if step == 0:
            for name, w in zip(names, weights):
                g = w.grad.double().reshape(-1)
                dot = (g * torch.cos(0.3 * torch.arange(g.numel(), dtype=torch.float64))).sum()
                rows.append(f'    {{"{name}", {g.norm().item():.9e}, {dot.item():.9e}}},')
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        adam.step()
        losses.append(f"{loss.item():.9f}")
    print(f"static const double {label}_losses[] = {{{', '.join(losses)}}};")
    print(f"static const gradient_row {label}_gradients[] = {{")
    print("\n".join(rows))
    print("};")


torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
gpt2 = GPT2Config(
    vocab_size=VOCAB,
    n_positions=CONTEXT,
    n_embd=24,
    n_layer=2,
    n_head=3,
    attn_pdrop=0,
    embd_pdrop=0,
    resid_pdrop=0,
)
like_llama = dict(
    vocab_size=VOCAB,
    max_position_embeddings=CONTEXT,
    hidden_size=24,
    intermediate_size=40,
    num_hidden_layers=2,
    num_attention_heads=6,
    num_key_value_heads=2,
    rms_norm_eps=1e-5,
    tie_word_embeddings=False,
)
llama3_rope = dict(
    rope_type="llama3",
    rope_theta=10000.0,
    factor=4.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=8,
)
window = dict(use_sliding_window=True, sliding_window=5, max_window_layers=1)
print("/* Made by make_torch_steps.py; do not edit. */")
steps(AutoModelForCausalLM.from_config(gpt2), gpt2_names(2), "gpt2")
for label, config in {
    "llama": LlamaConfig(**like_llama),
    "llama3": LlamaConfig(
        **like_llama, rope_parameters=llama3_rope, attention_bias=True, mlp_bias=True
    ),
    "mistral": MistralConfig(**like_llama, sliding_window=5, head_dim=6),
    "qwen2": Qwen2Config(**like_llama, **window),
    "qwen3": Qwen3Config(**like_llama, **window, head_dim=10),
}.items():
    steps(AutoModelForCausalLM.from_config(config), llama_names(2), label)
phi3 = Phi3Config(**like_llama, pad_token_id=None, sliding_window=5)
steps(AutoModelForCausalLM.from_config(phi3), llama_names(2, PHI3_PARTS), "phi3")
gemma2 = Gemma2Config(
    **like_llama | dict(tie_word_embeddings=True),
    head_dim=6,
    pad_token_id=None,  # a row of padding has no gradient there
    sliding_window=5,
    query_pre_attn_scalar=16,
    attn_logit_softcapping=1.0,
    final_logit_softcapping=1.5,
)
steps(
    AutoModelForCausalLM.from_config(gemma2, attn_implementation="eager"),
    llama_names(2, GEMMA2_PARTS),
    "gemma2",
)
steps(
    AutoModelForCausalLM.from_config(gpt2),
    gpt2_names(2),
    "gpt2_lora",
    LoraConfig(r=2, lora_alpha=5, target_modules="all-linear", fan_in_fan_out=True),
)
steps(
    AutoModelForCausalLM.from_config(LlamaConfig(**like_llama)),
    llama_names(2),
    "llama_lora",
    LoraConfig(r=3, lora_alpha=6, target_modules=["q_proj", "v_proj", "down_proj"]),
)
