"""A training step of nanoGPT's CPU setting in PyTorch, for side-by-side timing: 4 layers, 4 heads,
128 wide, context 64, batch 12, no biases, AdamW, clip 1. Prints one JSON object. Needs torch.

    python3 tests/bench/nanogpt_torch.py [STEPS]
"""

import json
import statistics
import sys
import time

try:
    import torch
    from torch.nn import functional as F
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

LAYERS, HEADS, EMBED, CONTEXT, BATCH, VOCAB = 4, 4, 128, 64, 12, 65


class Norm(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(EMBED))

    def forward(self, x):
        return F.layer_norm(x, (EMBED,), self.weight, None, 1e-5)


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = Norm(), Norm()
        self.qkv = torch.nn.Linear(EMBED, 3 * EMBED, bias=False)
        self.out = torch.nn.Linear(EMBED, EMBED, bias=False)
        self.up = torch.nn.Linear(EMBED, 4 * EMBED, bias=False)
        self.down = torch.nn.Linear(4 * EMBED, EMBED, bias=False)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (
            part.view(b, t, HEADS, c // HEADS).transpose(1, 2)
            for part in self.qkv(self.norm1(x)).split(c, dim=2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = torch.nn.Embedding(VOCAB, EMBED)
        self.positions = torch.nn.Embedding(CONTEXT, EMBED)
        self.blocks = torch.nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = Norm()

    def forward(self, ids, targets):
        x = self.tokens(ids) + self.positions.weight
        for block in self.blocks:
            x = block(x)
        logits = self.norm(x) @ self.tokens.weight.T
        return F.cross_entropy(logits.view(-1, VOCAB), targets.reshape(-1))


steps = int(sys.argv[1]) if len(sys.argv) > 1 else 60
torch.manual_seed(1)
model = Model()
adam = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1)
times = []
for step in range(steps):
    data = torch.randint(VOCAB, (BATCH, CONTEXT + 1))
    start = time.perf_counter()
    adam.zero_grad(set_to_none=True)
    model(data[:, :-1], data[:, 1:]).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    adam.step()
    times.append(time.perf_counter() - start)
step_ms = 1e3 * statistics.median(times[5:])
print(json.dumps({"step_ms": step_ms, "threads": torch.get_num_threads()}))
