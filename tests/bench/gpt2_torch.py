"""One training step of a GPT-2 in PyTorch, for tests/bench/peers.py: forward, backward, clipping to
norm 1 and fused AdamW, weights in f32; bf16 is autocast. Prints {"step_ms", "peak_bytes"}.

    python3 tests/bench/gpt2_torch.py --precision f32|bf16 [--compile] [--steps N] [sizes]
"""

import argparse
import json
import resource
import statistics
import sys
import time

arguments = argparse.ArgumentParser()
arguments.add_argument("--precision", default="f32", choices=["f32", "bf16"])
arguments.add_argument("--compile", action="store_true")
arguments.add_argument("--steps", type=int, default=8)
arguments.add_argument("--layers", type=int, default=12)
arguments.add_argument("--heads", type=int, default=12)
arguments.add_argument("--embed", type=int, default=768)
arguments.add_argument("--vocab", type=int, default=50257)
arguments.add_argument("--batch", type=int, default=4)
arguments.add_argument("--context", type=int, default=64)
options = arguments.parse_args()
try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError:
    sys.exit(77)


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        rows, length, width = x.shape
        parts = self.qkv(self.norm1(x)).split(width, dim=2)
        q, k, v = (p.view(rows, length, self.heads, -1).transpose(1, 2) for p in parts)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(rows, length, width))
        hidden = functional.gelu(self.up(self.norm2(x)), approximate="tanh")
        return x + self.down(hidden)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        width = options.embed
        self.tokens = nn.Embedding(options.vocab, width)
        self.positions = nn.Embedding(1024, width)
        self.blocks = nn.ModuleList(Block(width, options.heads) for _ in range(options.layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, options.vocab, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, ids, targets):
        x = self.tokens(ids) + self.positions.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        return functional.cross_entropy(logits.view(-1, options.vocab).float(), targets.view(-1))


torch.manual_seed(1)
model = Model()
matrices = [p for p in model.parameters() if p.dim() >= 2]
vectors = [p for p in model.parameters() if p.dim() < 2]
groups = [
    {"params": matrices, "weight_decay": 0.1},
    {"params": vectors, "weight_decay": 0.0},
]
adamw = torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.95), eps=1e-8, fused=True)
loss_of = torch.compile(model) if options.compile else model
ids = torch.randint(0, options.vocab, (options.batch, options.context))
targets = torch.randint(0, options.vocab, (options.batch, options.context))


def step():
    with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16"):
        loss = loss_of(ids, targets)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    adamw.step()
    adamw.zero_grad(set_to_none=True)
    return loss.item()


times = []
for i in range(options.steps + 2):
    start = time.perf_counter()
    step()
    if i >= 2:
        times.append(time.perf_counter() - start)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"step_ms": statistics.median(times) * 1e3, "peak_bytes": peak}))
